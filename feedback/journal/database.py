"""The journal's SQLite file: opened so that a commit is on the disk, checked, and brought to the newest schema."""

import logging
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

from catdog.errors import DiskFullError, FeedbackError, SettingsError
from catdog.files import DISK_FULL

log = logging.getLogger(__name__)

BUSY_MS = 10_000
"""How long to wait for another process that is writing."""
_LOG_PAGES = 300
"""So long the log grows before it is moved into the database, which holds up whoever writes: among a million rows each
page lies somewhere else, and SQLite's own 1000 take nearly twice as long at once."""

# Applied in order; `PRAGMA user_version` counts those that were. To change the schema, append: never edit.
# Pictures have a table of their own, so that counting rows does not read them.
_MIGRATIONS = (
    """
    CREATE TABLE rows (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        request_id TEXT NOT NULL,
        created_at TEXT NOT NULL,
        image_sha256 TEXT NOT NULL,
        image_phash TEXT NOT NULL,
        predicted_label TEXT NOT NULL,
        verdict TEXT NOT NULL,
        labels TEXT NOT NULL,
        probabilities TEXT NOT NULL,
        corrected_label TEXT NOT NULL,
        model_id TEXT NOT NULL,
        model_revision TEXT NOT NULL,
        source TEXT NOT NULL,
        client TEXT NOT NULL,
        app_version TEXT NOT NULL,
        schema_version INTEGER NOT NULL,
        extra TEXT NOT NULL,
        superseded INTEGER NOT NULL DEFAULT 0,
        receipt_hash BLOB NOT NULL,
        idempotency_hash BLOB
    );
    CREATE INDEX rows_by_request ON rows (request_id, id);
    CREATE UNIQUE INDEX rows_by_idempotency ON rows (idempotency_hash) WHERE idempotency_hash IS NOT NULL;
    CREATE TABLE pictures (seq INTEGER PRIMARY KEY, jpeg BLOB NOT NULL);
    CREATE TABLE deletions (id TEXT PRIMARY KEY, receipt_hash BLOB NOT NULL, deleted_at TEXT NOT NULL);
    """,
    """
    CREATE TABLE decisions (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        row_id TEXT NOT NULL,
        status TEXT NOT NULL,
        corrected_label TEXT,
        reason TEXT NOT NULL,
        "by" TEXT NOT NULL,
        at TEXT NOT NULL
    );
    CREATE INDEX decisions_by_row ON decisions (row_id, id);
    """,
    # A batch is what one commit to the Hub carries. It is noted before the upload, so that repeating one that was cut
    # short makes the same files again. `repo_id` of a deletion: where the row must still be removed from.
    """
    CREATE TABLE batches (
        number INTEGER PRIMARY KEY,
        repo_id TEXT NOT NULL,
        rows_path TEXT,
        decisions_path TEXT,
        committed_at TEXT
    );
    ALTER TABLE rows ADD COLUMN batch INTEGER;
    ALTER TABLE rows ADD COLUMN damaged INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX rows_by_batch ON rows (batch, created_at);
    CREATE INDEX rows_by_vote ON rows (image_sha256, client);
    ALTER TABLE decisions ADD COLUMN batch INTEGER;
    CREATE INDEX decisions_by_batch ON decisions (batch);
    ALTER TABLE deletions ADD COLUMN repo_id TEXT;
    CREATE TABLE commits (at REAL NOT NULL);
    """,
    "CREATE INDEX rows_by_client ON rows (client, created_at)",
    "CREATE INDEX rows_damaged ON rows (damaged) WHERE damaged",  # counting them reads no other row
)

CHECKED_AT_START_BYTES = 32_000_000
"""A larger file is checked while the app runs already: reading 32 MB takes about 0.3 s."""
_GARBLED = "its schema is garbled"
_FEW_PAGES = 64 * 1024

_NO_WAL = {
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMLOCK,
    sqlite3.SQLITE_IOERR_SHMMAP,
    sqlite3.SQLITE_IOERR_LOCK,
    sqlite3.SQLITE_PROTOCOL,
}
"""Network and FUSE file systems fail so: the log's index is memory that processes share by mapping a file."""

_REASONS = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk failed or is full",
    sqlite3.SQLITE_BUSY: "another process has held the journal for too long",
    sqlite3.SQLITE_READONLY: "the journal is read-only",
    sqlite3.SQLITE_CANTOPEN: "the journal cannot be opened",
    sqlite3.SQLITE_CORRUPT: "the journal is damaged",
    sqlite3.SQLITE_NOTADB: "the journal is damaged",
}


def open_database(path: Path) -> sqlite3.Connection:
    """Open the database: create it if there is none, check it, and bring it to the newest schema.

    Raises:
        SettingsError: the folder cannot be written to, has no locks, or a newer version wrote the database.
        DiskFullError: the disk is full.
        FeedbackError: the database is damaged.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # photos of strangers: for this user alone
    except OSError as error:
        if error.errno in DISK_FULL:
            raise _full(path) from None
        raise SettingsError(f"Feedback cannot be kept in {path.parent}: {error.strerror}. {_CHOOSE}") from None
    try:
        try:
            return _opened(path)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) not in _NO_WAL or is_full(path.parent):
                raise
            log.warning("%s: this file system can't share memory, so the journal does without a log.", path.parent)
            with suppress(sqlite3.Error):
                return _without_log(path)
            raise
    except sqlite3.Error as error:
        if is_full(path.parent):
            raise _full(path) from None
        raise _opening_error(path, error) from None
    except UnicodeDecodeError:  # in a message of SQLite about the schema
        raise _damaged(path, _GARBLED) from None


def _opened(path: Path) -> sqlite3.Connection:
    with _closed_on_error(connect(path)) as db:
        (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            log.warning(
                "%s: this file system has no write-ahead log (%s); the journal works without.", path.parent, mode
            )
        _check(db, path)
        _migrate(db, path)
        empty_log(db)  # what a killed process had deleted may still be in it
        return db


def _without_log(path: Path) -> sqlite3.Connection:
    """Turn a journal back to SQLite's rollback journal, which needs no memory that processes share."""
    with closing(sqlite3.connect(path, isolation_level=None)) as alone:
        alone.execute("PRAGMA locking_mode = EXCLUSIVE")  # then the log's index is in this process's memory
        alone.execute("PRAGMA journal_mode = DELETE")
    with _closed_on_error(connect(path)) as db:
        _check(db, path)
        _migrate(db, path)
        return db


def is_full(folder: Path) -> bool:
    """Whether not even a few pages can be written to a folder."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_FEW_PAGES))
            file.flush()
    except OSError as error:
        return error.errno in DISK_FULL
    return False


def _full(path: Path) -> DiskFullError:
    return DiskFullError(f"Nothing can be saved in {path.parent}: the disk is full. Make room.")


def open_to_read(path: Path) -> tuple[Callable[[], sqlite3.Connection], tempfile.TemporaryDirectory[str] | None]:
    """How to read a database that may be on a full disk or in a read-only folder.

    Returns:
        What opens a connection, and the folder of a copy, where there had to be one.

    Raises:
        SettingsError: an older or a newer version wrote it.
        FeedbackError: it cannot be read.
    """
    copied: tempfile.TemporaryDirectory[str] | None = None
    opener = partial(_connect_to_read, path, "mode=ro")
    try:
        with suppress(sqlite3.Error), closing(opener()) as db:
            return (opener if _is_filled(db, path) else empty_database), None
        # A log needs a file of shared memory beside it. Without one there is the database alone, or a copy of both.
        wal = _log_of(path)
        if wal.exists() and wal.stat().st_size:
            copied = tempfile.TemporaryDirectory(prefix="catdog-journal-")
            for each in (path, wal):
                shutil.copy(each, copied.name)
            opener = partial(connect, Path(copied.name) / path.name)
        else:
            opener = partial(_connect_to_read, path, "immutable=1")
        with closing(opener()) as db:
            return (opener if _is_filled(db, path) else empty_database), copied
    except (sqlite3.Error, OSError) as error:
        raise FeedbackError(f"{path} cannot be read: {reason(error)} ({error}).") from None


def _connect_to_read(path: Path, how: str) -> sqlite3.Connection:
    address = f"file:{quote(os.fsencode(path))}?{how}"
    return sqlite3.connect(address, uri=True, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)


def _is_filled(db: sqlite3.Connection, path: Path) -> bool:
    """Whether there are tables; a disk that was full when they were to be made leaves none."""
    version = _version(db)
    if version not in {0, len(_MIGRATIONS)}:
        raise SettingsError(f"Another version of this program wrote {path}; it can't be read without being changed.")
    return version > 0


def empty_database() -> sqlite3.Connection:
    """A database without rows, in memory: what there is to read where none could be made."""
    db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _migrate(db, Path(":memory:"))
    return db


def reopen(path: Path) -> sqlite3.Connection:
    """Open the database again after a write failed.

    What the kernel could not write then may be missing on the disk although it can still be read, and later commits
    would build on it. So first everything is moved into the database file, as a test that the disk works again.

    Raises:
        sqlite3.Error: the disk still fails.
    """
    with _closed_on_error(connect(path)) as db:
        _migrate(db, path)  # for a new file, where the old one was deleted
        if not empty_log(db):
            raise sqlite3.OperationalError("what the failed write left in the log cannot be saved yet")
        return db


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection whose commits are durable and whose deletions leave nothing behind; any thread may use it.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    db = sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
    with _closed_on_error(db):
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA fullfsync = ON")  # macOS flushes the drive's cache only when asked
        db.execute("PRAGMA secure_delete = ON")
        db.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Commit what the block does, all or nothing; it is on the disk when this returns."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def empty_log(db: sqlite3.Connection) -> bool:
    """Move everything from the write-ahead log into the database file and empty the log.

    Returns:
        False if another connection is in the way, or the disk: nothing is lost, and trying again later helps.
    """
    db.execute("PRAGMA busy_timeout = 100")  # milliseconds: others may read for long, and writers wait for us
    try:
        busy: int = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.Error as error:
        log.warning("The journal's log could not be emptied: %s", error)
        return False
    finally:
        db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    return not busy


def reason(error: sqlite3.Error | OSError) -> str:
    """Say in words what an error means, without paths: visitors read it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the lower byte is the kind, the rest the place
    return _REASONS.get(code, "the journal does not work")


_CHOOSE = "Make it writable, or set CATDOG_DATA_DIR to another folder on a local disk."


@contextmanager
def _closed_on_error(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        yield db
    except BaseException:
        db.close()
        raise


def _check(db: sqlite3.Connection, path: Path) -> None:
    """Find out whether the file is sound: of a small one all, of a large one what takes no time."""
    if not _version(db):
        return
    problems = damage(db) if path.stat().st_size <= CHECKED_AT_START_BYTES else _damage_at_the_ends(db, path)
    if problems:
        raise _damaged(path, problems)


def damage(db: sqlite3.Connection) -> str:
    """What is wrong with the file, in one line; empty if nothing is. It reads the whole file.

    Bytes within a value may differ from what was written: of pictures, their hashes tell when they are exported.
    """
    try:
        found = [text for (text,) in db.execute("PRAGMA integrity_check(5)") if text != "ok"]
    except UnicodeDecodeError:
        found = [_GARBLED]
    return " ".join(" ".join(found).split())


def _damage_at_the_ends(db: sqlite3.Connection, path: Path) -> str:
    """Whether the file is as long as it says, and the first and the last entry of each table can be read."""
    (pages,), (size,) = db.execute("PRAGMA page_count").fetchone(), db.execute("PRAGMA page_size").fetchone()
    if path.stat().st_size < pages * size and not _log_of(path).exists():
        return "it was cut short"
    for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        for end in ("ASC", "DESC"):
            db.execute(f'SELECT 1 FROM "{table}" NOT INDEXED ORDER BY rowid {end} LIMIT 1').fetchall()  # noqa: S608
    return ""


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the schema up to date; even with nothing to do, this fails where nothing can be written."""
    with transaction(db):
        version = _version(db)
        if version > len(_MIGRATIONS):
            raise SettingsError(
                f"A newer version of this program wrote {path} (schema {version}, known: {len(_MIGRATIONS)}). "
                "Install that one, or set CATDOG_DATA_DIR to another folder."
            )
        for migration in _MIGRATIONS[version:]:
            for statement in migration.split(";"):  # executescript would commit first
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")


def _version(db: sqlite3.Connection) -> int:
    """The number of migrations that were applied; 0 in a new file."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


def _no_wal(path: Path, detail: object) -> SettingsError:
    return SettingsError(f"The file system of {path.parent} cannot hold the journal (no WAL: {detail}). {_CHOOSE}")


def _opening_error(path: Path, error: sqlite3.Error) -> FeedbackError | SettingsError:
    if getattr(error, "sqlite_errorcode", 0) in _NO_WAL:
        return _no_wal(path, error.sqlite_errorname)
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return SettingsError(f"Feedback cannot be kept in {path.parent}: {error}. {_CHOOSE}")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _damaged(path, str(error))
    return FeedbackError(f"{path} cannot be opened: {reason(error)} ({error}). Mend that and start again.")


def _damaged(path: Path, detail: str) -> FeedbackError:
    return FeedbackError(
        f"{path} is damaged ({detail}). Move it aside together with its -wal and -shm files and start again; "
        "`sqlite3 OLD .recover` saves what can be read."
    )
