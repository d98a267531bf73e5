"""One process at a time syncs a data folder.

The lock is an open transaction on an SQLite file of its own, for the operating system ends it with the process: there
is no time to wait until a lock that a killed process left behind expires.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from catdog.errors import FeedbackError

LOCK_FILE = "sync-lock.sqlite3"


@contextmanager
def sync_lock(data_dir: Path) -> Iterator[bool]:
    """Hold the lock while the block runs, if no other process and no other thread does; tells whether it is held.

    Raises:
        FeedbackError: the lock's file does not work.
    """
    try:
        with closing(sqlite3.connect(data_dir / LOCK_FILE, timeout=0, isolation_level=None)) as db:
            yield _locked(db)
    except sqlite3.Error as error:
        raise FeedbackError(f"{data_dir / LOCK_FILE} does not work: {error}. Make the folder writable.") from None


def _locked(db: sqlite3.Connection) -> bool:
    try:
        db.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            return False
        raise
    return True
