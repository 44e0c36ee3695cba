"""The ledger of a run: every query in a file, the intent before it is asked, the answer after it.

Three tables. `requests` has a row per call: how many images, when asked, when answered, or how it failed. `queries` has
a row per image of a call: the key of what was sent, the replicate, and the answer as little-endian float32 once it is
there; the same image is answered once per replicate. `meta` holds texts. A request with neither answer nor failure is
in doubt: the process died in between, and it may or may not have been answered.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ..core import PixpromptError

__all__ = ["Answers", "Ledger", "Totals"]

Answers = npt.NDArray[np.float32]

SCHEMA = 1
_APPLICATION = 0x7078_6C67
"""In the file's header: "pxlg"."""
_BUSY_SECONDS = 10.0
_HITS = "cached_images"

_TABLES = (
    "CREATE TABLE requests (id INTEGER PRIMARY KEY, images INTEGER NOT NULL, asked REAL NOT NULL,"
    " answered REAL, failure TEXT)",
    "CREATE TABLE queries (request INTEGER NOT NULL REFERENCES requests (id), position INTEGER NOT NULL,"
    " key BLOB NOT NULL, replicate INTEGER NOT NULL, outputs BLOB, PRIMARY KEY (request, position))",
    "CREATE UNIQUE INDEX answers ON queries (key, replicate) WHERE outputs IS NOT NULL",
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {SCHEMA}",
)


@dataclass(frozen=True)
class Totals:
    """What a ledger has seen, over all sessions.

    Attributes:
        images: Images asked, those of failed requests and of requests in doubt included.
        requests: Requests sent, likewise.
        failed: Requests that ended with an error.
        in_doubt: Requests that were begun and neither answered nor failed.
        images_in_doubt: Their images.
        cached: Images answered from the ledger instead of being asked; a crash may lose the last few of this count.
    """

    images: int
    requests: int
    failed: int
    in_doubt: int
    images_in_doubt: int
    cached: int


class Ledger:
    """A journal of queries in one SQLite file; for one process, and one thread at a time.

    What a method has written when it returns outlives the process, and a power cut as far as the disk keeps its word.

    Args:
        path: The file, made where it is missing, on a local file system; None keeps the ledger in memory.

    Raises:
        PixpromptError: The file is no ledger, of another schema, or cannot be opened; the message says which.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = path if path is None else Path(path)
        self._hits = 0
        with self._reported():
            place = ":memory:" if self.path is None else str(self.path)
            # Autocommit, so that BEGIN and COMMIT stand where they are written below.
            self._file = sqlite3.connect(place, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            with self._reported():
                self._prepare()
        except PixpromptError:
            self._file.close()
            raise
        self._last = self._last_request()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def find(self, keys: Sequence[bytes], replicate: int = 0) -> list[Answers | None]:
        """Returns the answer to each key, (S,), or None where there is none yet; rows may differ in length."""
        query = "SELECT outputs FROM queries WHERE key = ? AND replicate = ? AND outputs IS NOT NULL"
        with self._reported():
            rows = [self._file.execute(query, (key, replicate)).fetchone() for key in keys]
        return [None if row is None else np.frombuffer(row[0], "<f4").astype(np.float32) for row in rows]

    def intend(self, keys: Sequence[bytes], replicate: int = 0) -> int:
        """Writes down that images are about to be asked in one request.

        Args:
            keys: Of the images, in the order in which they are sent; none that is answered.
            replicate: Which asking of the same images this is.

        Returns:
            The number of the request, for `answer` or `fail`.

        Raises:
            PixpromptError: It cannot be written, a key is there twice or answered, or another process writes to this
                ledger: nothing may be asked.
        """
        with self._transaction():
            if self._last_request() != self._last:
                raise PixpromptError(f"{self._name} is written to by another run. Let it finish, or stop it.")
            if len(set(keys)) < len(keys) or any(row is not None for row in self.find(keys, replicate)):
                raise PixpromptError("an image is asked once per replicate; leave out those that are answered.")
            request = self._begin(len(keys))
            self._file.executemany(
                "INSERT INTO queries (request, position, key, replicate) VALUES (?, ?, ?, ?)",
                [(request, position, key, replicate) for position, key in enumerate(keys)],
            )
        self._last = request
        return request

    def answer(self, request: int, outputs: Answers, **meta: str) -> None:
        """Writes the answers of a request down, and texts that they cannot be read without, both or neither.

        Args:
            request: What `intend` returned.
            outputs: (n, S), a row per key in the order of the keys.
            meta: Texts for `read_meta`.

        Raises:
            PixpromptError: They cannot be written, are not one per key, or are there already.
        """
        rows = [np.ascontiguousarray(row, "<f4").tobytes() for row in outputs]
        with self._transaction():
            cursor = self._file.execute(
                "UPDATE requests SET answered = ? WHERE id = ? AND images = ? AND answered IS NULL AND failure IS NULL",
                (time.time(), request, len(rows)),
            )
            if cursor.rowcount != 1:
                raise PixpromptError(f"request {request} of {self._name} does not wait for {len(rows)} answers.")
            self._file.executemany(
                "UPDATE queries SET outputs = ? WHERE request = ? AND position = ?",
                [(row, request, position) for position, row in enumerate(rows)],
            )
            self._write_meta(meta)

    def fail(self, request: int, reason: str) -> None:
        """Writes down that a request ended with an error; its images count as asked."""
        with self._transaction():
            self._file.execute("UPDATE requests SET failure = ? WHERE id = ?", (reason, request))

    def charge(self, num_images: int) -> None:
        """Counts images that were asked one by one before the ledger was there."""
        with self._transaction():
            for _ in range(num_images):
                self._last = self._begin(1)
            self._file.execute("UPDATE requests SET answered = asked WHERE id > ?", (self._last - num_images,))

    def count_hits(self, num_images: int) -> None:
        """Counts images that were answered without asking; written with the next answers, or on closing."""
        self._hits += num_images

    def read_meta(self, name: str) -> str | None:
        """Returns a text, or None where there is none of that name."""
        with self._reported():
            row = self._file.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def write_meta(self, **meta: str) -> None:
        """Writes texts, over those of the same names."""
        with self._transaction():
            self._write_meta(meta)

    def totals(self) -> Totals:
        """Returns what was asked so far, over all sessions."""
        waits = "answered IS NULL AND failure IS NULL"
        with self._reported():
            images, requests, failed, doubtful, images_in_doubt = self._file.execute(
                f"SELECT coalesce(sum(images), 0), count(*), count(failure), coalesce(sum({waits}), 0),"
                f" coalesce(sum(images * ({waits})), 0) FROM requests"
            ).fetchone()
        cached = int(self.read_meta(_HITS) or 0) + self._hits
        return Totals(images, requests, failed, doubtful, images_in_doubt, cached)

    def close(self) -> None:
        """Closes the file; a second time does nothing."""
        with suppress(sqlite3.ProgrammingError):  # closed already
            self._file.execute("SELECT 1")
            try:
                if self._hits:
                    self.write_meta()
            finally:
                self._file.close()

    @property
    def _name(self) -> str:
        return "the ledger in memory" if self.path is None else str(self.path)

    def _prepare(self) -> None:
        execute = self._file.execute
        found = execute("PRAGMA application_id").fetchone()[0]
        if found not in (0, _APPLICATION) or (found == 0 and execute("SELECT 1 FROM sqlite_master").fetchone()):
            raise PixpromptError(f"{self._name} is an SQLite file, but no ledger of pixprompt. Choose another file.")
        version = execute("PRAGMA user_version").fetchone()[0]
        if found and version != SCHEMA:
            raise PixpromptError(
                f"{self._name} is a ledger of schema {version}; this version reads schema {SCHEMA}. Update pixprompt."
            )
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        if not found:
            with self._transaction():
                for statement in _TABLES:
                    execute(statement)

    def _begin(self, num_images: int) -> int:
        values = (num_images, time.time())
        cursor = self._file.execute("INSERT INTO requests (images, asked) VALUES (?, ?)", values)
        return int(cursor.lastrowid or 0)

    def _last_request(self) -> int:
        with self._reported():
            return int(self._file.execute("SELECT coalesce(max(id), 0) FROM requests").fetchone()[0])

    def _write_meta(self, meta: dict[str, str]) -> None:
        if self._hits:
            meta = {**meta, _HITS: str(int(self.read_meta(_HITS) or 0) + self._hits)}
        self._file.executemany("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", meta.items())
        self._hits = 0

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise PixpromptError(_reason(self._name, error)) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._reported():
            self._file.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._file.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk ends the transaction by itself
                    self._file.execute("ROLLBACK")
                raise


def _reason(name: str, error: sqlite3.Error) -> str:
    code: Any = getattr(error, "sqlite_errorcode", None)
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return f"{name} is no ledger, or a damaged one ({error}). Choose another file, or bring back a copy of this."
    if code == sqlite3.SQLITE_BUSY:
        return f"{name} is in use by another process ({error}). Let it finish, or stop it."
    if code == sqlite3.SQLITE_CANTOPEN:
        return f"cannot open {name} as a ledger ({error}). Is it a file, and its folder there and writable?"
    return f"cannot use {name} as a ledger: {error}."
