"""The journal's SQLite file: opened so that a commit is on the disk, checked, and brought to the newest schema."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catdog.errors import FeedbackError, SettingsError

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
)

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
        SettingsError: the folder cannot be written to, has no WAL, or a newer version wrote the database.
        FeedbackError: the database is damaged, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # photos of strangers: for this user alone
    except OSError as error:
        raise SettingsError(f"Feedback cannot be kept in {path.parent}: {error.strerror}. {_CHOOSE}") from None
    try:
        with _closed_on_error(connect(path)) as db:
            _check(db, path)
            _migrate(db, path)
            empty_log(db)  # what a killed process had deleted may still be in it
            return db
    except sqlite3.Error as error:
        raise _opening_error(path, error) from None


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
    """Find out whether the file system can hold a journal and whether the file is sound."""
    (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise _no_wal(path, mode)
    if _version(db) and (problems := _problems(db)):
        raise _damaged(path, problems)


def _problems(db: sqlite3.Connection) -> str:
    """What is wrong with the file, in one line; empty if nothing is.

    Of the pictures' table every byte would be read; a damaged picture is found by its hash when it is exported.
    """
    found = [text for (text,) in db.execute("PRAGMA quick_check(rows)") if text != "ok"]
    return " ".join(" ".join(found).split())


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
