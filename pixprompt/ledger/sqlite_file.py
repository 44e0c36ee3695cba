"""The SQLite file of a ledger: its tables, its schemas and the way from one to the next, its errors in words."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..core import PixpromptError
from ..files.lock import FileLock
from .room import allocate

__all__ = ["SCHEMA", "LedgerFile"]

SCHEMA = 3
_APPLICATION = 0x7078_6C67
"""In the file's header: "pxlg"."""
_BUSY_SECONDS = 10.0
_CHECKPOINT = 3000
"""Pages of the write-ahead log, 12 MB, after which SQLite moves them to the file. Beyond 4062 of them its index grows,
for which no room is set aside."""
_TABLES = (
    # A retry is a request of its own; its images are those of the first attempt, `retry_of`.
    "CREATE TABLE requests (id INTEGER PRIMARY KEY, images INTEGER NOT NULL, asked REAL NOT NULL, answered REAL,"
    " failure TEXT,"
    " retry_of INTEGER REFERENCES requests (id),"
    " endpoint TEXT,"  # a digest; `meta` says of what
    " digests BLOB,"  # SHA-256 of the files that were sent, 32 bytes each
    " kind TEXT,"  # of the failure
    " billed INTEGER NOT NULL DEFAULT 1,"  # 0 where it surely was not
    " resolved TEXT,"  # what was decided about a request in doubt
    " status INTEGER, headers TEXT,"
    " body BLOB,"  # compressed by zlib
    " seconds REAL, bytes_sent INTEGER, bytes_received INTEGER)",
    "CREATE TABLE queries (request INTEGER NOT NULL, position INTEGER NOT NULL, key BLOB NOT NULL,"
    " replicate INTEGER NOT NULL, outputs BLOB,"
    " failure TEXT,"  # of this image in a request that was answered
    " PRIMARY KEY (request, position))",
    "CREATE UNIQUE INDEX answers ON queries (key, replicate) WHERE outputs IS NOT NULL",
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)


class LedgerFile:
    """An open ledger; methods may be called from several threads.

    What a transaction has written outlives the process. It outlives a power cut once `flush` has returned, which waits
    for the disk once for everything that was written before it. Room for answers is set aside by `reserve_room`.

    Args:
        path: The file, made where it is missing; None for one in memory. One process at a time writes to it.
        read_only: Whether the file is only read, which works while another process writes.

    Raises:
        PixpromptError: The file is no ledger, of another schema, or cannot be opened; the message says which.
    """

    def __init__(self, path: Path | None, *, read_only: bool = False) -> None:
        self.name = "the ledger in memory" if path is None else str(path)
        self._path = path
        self._lock = threading.RLock()
        self._log = -1
        self._file_lock: FileLock | None = None
        with self.reported():
            self._connection = _connect(path, read_only)
        try:
            if path is not None and not read_only:
                self._file_lock = FileLock(path)
            with self.reported():
                self._prepare(read_only)
        except BaseException:
            self.close()
            raise

    def execute(self, statement: str, values: Any = ()) -> sqlite3.Cursor:
        """Runs one statement."""
        return self._connection.execute(statement, values)

    def executemany(self, statement: str, values: Any) -> None:
        """Runs one statement for many values."""
        self._connection.executemany(statement, values)

    def close(self) -> None:
        """Closes the file; a second time does nothing."""
        with self._lock, suppress(sqlite3.ProgrammingError):
            self._connection.execute("SELECT 1")
            self._connection.close()
            log, self._log = self._log, -1
            if log >= 0:
                os.close(log)
            if self._file_lock is not None:
                self._file_lock.release()

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Keeps other threads out, and says in words what SQLite complains about."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise PixpromptError(_reason(self.name, error)) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Writes everything inside, or nothing."""
        with self.reported():
            self.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk ends the transaction by itself
                    self.execute("ROLLBACK")
                raise

    def flush(self) -> None:
        """Waits until what was written is on the disk; other threads go on writing meanwhile.

        Raises:
            PixpromptError: The disk does not take it.
        """
        if self._log >= 0:
            try:
                os.fsync(self._log)
            except OSError as error:
                raise PixpromptError(f"cannot write {self.name}: {error}.") from error

    def reserve_room(self, num_bytes: int) -> None:
        """Makes sure that so much more can be written, whatever else fills the disk.

        The room belongs to the log of the file from then on, where the file system can do that; elsewhere it is only
        looked for.

        Raises:
            PixpromptError: The disk is too full.
        """
        if self._log < 0 or self._path is None:
            return
        try:
            allocate(self._log, num_bytes, self._path.parent)
        except OSError as error:
            raise PixpromptError(
                f"no room beside {self.name} for the answers to further requests: {error}. None was sent. Free "
                "some space, and resume."
            ) from error

    @property
    def is_first(self) -> bool:
        """Whether nothing else in this process has the same file open to write."""
        return self._file_lock is None or self._file_lock.is_first

    def _prepare(self, read_only: bool) -> None:
        version = self._version()
        if read_only:
            return
        if self.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal" and self._path is not None:
            self.execute("PRAGMA temp_store = MEMORY")  # the disk of temporary files may be full as well
            self.execute("PRAGMA synchronous = NORMAL")  # a commit does not wait for the disk; `flush` does
            self.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")
        if version == 0:
            with self.transaction():
                if self._version() == 0:  # once more: another process may have been faster
                    for statement in _TABLES:
                        self.execute(statement)
                    self.execute(f"PRAGMA application_id = {_APPLICATION}")
                    self.execute(f"PRAGMA user_version = {SCHEMA}")
        log = None if self._path is None else self._path.with_name(f"{self._path.name}-wal")
        if log is not None and log.exists():
            self._log = os.open(log, os.O_RDWR)
            self.flush()

    def _version(self) -> int:
        application = self.execute("PRAGMA application_id").fetchone()[0]
        empty = self.execute("SELECT 1 FROM sqlite_master").fetchone() is None
        if application not in (0, _APPLICATION) or (application == 0 and not empty):
            raise PixpromptError(f"{self.name} is an SQLite file, but no ledger of pixprompt. Choose another file.")
        version = int(self.execute("PRAGMA user_version").fetchone()[0])
        if version not in (0, SCHEMA):
            raise PixpromptError(
                f"{self.name} is a ledger of schema {version}; this version of pixprompt reads schema {SCHEMA}. Use "
                "the version that wrote it, or begin a new one."
            )
        return version


def _connect(path: Path | None, read_only: bool) -> sqlite3.Connection:
    place = ":memory:" if path is None else str(path)
    if read_only and path is not None:
        in_use = any(path.with_name(f"{path.name}-{end}").exists() for end in ("wal", "lock"))
        # Immutable where nobody has it open: otherwise SQLite would leave files beside it.
        place = f"{path.absolute().as_uri()}?mode=ro" + ("" if in_use else "&immutable=1")
    # Autocommit, so that BEGIN and COMMIT stand where they are written.
    return sqlite3.connect(
        place, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=place.startswith("file:")
    )


def _reason(name: str, error: sqlite3.Error) -> str:
    code: Any = getattr(error, "sqlite_errorcode", None)
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return f"{name} is no ledger, or a damaged one ({error}). Choose another file, or bring back a copy of this."
    if code == sqlite3.SQLITE_BUSY:
        return f"{name} is in use by another process ({error}). Let it finish, or stop it."
    if code == sqlite3.SQLITE_CANTOPEN:
        return f"cannot open {name} as a ledger ({error}). Is it a file, and its folder there and writable?"
    return f"cannot use {name} as a ledger: {error}."
