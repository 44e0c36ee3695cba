"""The ledger of a run: every query in a file, the intent before it is sent, the answer after it.

Three tables. `requests` has a row per call: how many images, when sent, when answered, or how it failed. `queries` has
a row per image of a call: the key of what was sent, the replicate, and the answer once it is there; the same image is
answered once per replicate. `meta` holds texts. A request with neither answer nor failure is in doubt: the process died
in between, and it may or may not have been answered.

An answer is a row of little-endian float32 (`Ledger`), or what a remote model replied (`reply_ledger.ReplyLedger`).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from ..core import PixpromptError
from .sqlite_file import LedgerFile

__all__ = ["HITS", "IN_DOUBT", "LABELS", "PER_PREDICTION", "PRICE", "Answers", "Doubt", "Ledger", "Totals"]

Answers = npt.NDArray[np.float32]

DURABILITIES = ("full", "os")
"""What is waited for before a request is sent and an answer is used: the disk, or the operating system alone."""
IN_DOUBT = "(answered IS NULL AND failure IS NULL)"
"""The condition for a row of `requests`."""
HITS = "cached_images"
LABELS, PER_PREDICTION, PRICE = "labels_per_query", "queries_per_prediction", "price_per_1000"
"""Names in the table `meta`; the last three are those of a run."""
_ROOM_OF_REQUEST, _ROOM_OF_IMAGE = 1 << 16, 1 << 14
"""Bytes on the disk that an answer takes at most, besides twice the longest one so far."""
_YEAR_10000 = 253402300800.0
_KEYS_AT_ONCE = 500
_FORM = "answers"


@dataclass(frozen=True)
class Totals:
    """What a ledger has seen, over all sessions.

    Attributes:
        images: Images queried, those of failed requests and of requests in doubt included, but for those of requests
            that were surely not billed.
        requests: Requests sent, all of them.
        failed: Requests that ended with an error.
        in_doubt: Requests that were begun and neither answered nor failed.
        images_in_doubt: Their images.
        cached: Images answered from the ledger instead of a query; a crash may lose the last few of this count.
        retried: Requests that repeat one that failed; they are among `requests`.
        skipped: Images that were left without an answer, as `resolve` decided.
    """

    images: int
    requests: int
    failed: int
    in_doubt: int
    images_in_doubt: int
    cached: int
    retried: int = 0
    skipped: int = 0

    def since(self, before: Totals) -> Totals:
        """Returns what was added to an earlier state of the same ledger."""
        return Totals(*(getattr(self, item.name) - getattr(before, item.name) for item in fields(self)))


@dataclass(frozen=True)
class Doubt:
    """A request that was begun and neither answered nor failed.

    Attributes:
        request: Its number.
        images: Number of its images.
        asked: When it was sent, in seconds since 1970.
        resolved: What was decided about it: "retry", "skip", or None.
        endpoint: Short name of the endpoint, if it has one.
    """

    request: int
    images: int
    asked: float
    resolved: str | None
    endpoint: str | None = None


class Ledger:
    """A journal of queries in one SQLite file; for one process, from any of its threads.

    What a method has written when it returns outlives the process; intents and answers outlive a power cut as well, as
    far as the disk keeps its word. Room for the answer is set aside with the intent. Once something could not be
    written, no further intent is taken.

    Args:
        path: The file, made where it is missing, on a local file system; None keeps the ledger in memory.

    Attributes:
        form: What its answers are, and what must not be mixed in one file.
        num_at_once: The most requests that are under way at the same time; room is set aside for so many answers.
        durability: One of DURABILITIES: what outlives a power cut ("full"), or the end of the process alone ("os").

    Raises:
        PixpromptError: The file is no ledger, of a newer schema or another form, or cannot be opened.
    """

    form: ClassVar[str] = "rows"

    def __init__(self, path: str | Path | None) -> None:
        self.path = path if path is None else Path(path)
        self.num_at_once = 1
        self.durability = DURABILITIES[0]
        self._hits = self._longest = 0
        self._trouble: PixpromptError | None = None
        self._file = LedgerFile(self.path)
        try:
            self._check_form()
            self._last = self._last_request()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def find(self, keys: Sequence[bytes], replicate: int = 0) -> list[Answers | None]:
        """Returns the answer to each key, (S,), or None where there is none yet; rows may differ in length."""
        answers = self._find(keys, replicate)
        return [None if each is None else np.frombuffer(each, "<f4").astype(np.float32) for each in answers]

    def intend(self, keys: Sequence[bytes], replicate: int = 0) -> int:
        """Writes down that images are about to be sent in one request.

        Args:
            keys: Keys of the images, in the order in which they are sent; none that is answered.
            replicate: Which query about the same images this is.

        Returns:
            The number of the request, for `answer` or `fail`.

        Raises:
            PixpromptError: It cannot be written, a key is there twice or answered, or another process writes to this
                ledger: nothing may be sent.
        """
        self._reserve_room(len(keys))
        with self._file.reported():
            with self._file.transaction():
                request = self._plan([keys], replicate)[0]
                self._begin(request, len(keys))
            self._last = request
        self.flush()
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

        def write() -> None:
            cursor = self._file.execute(
                f"UPDATE requests SET answered = ? WHERE id = ? AND images = ? AND {IN_DOUBT}",
                (time.time(), request, len(rows)),
            )
            if cursor.rowcount != 1:
                raise PixpromptError(f"request {request} of {self._file.name} does not wait for {len(rows)} answers.")
            self._file.executemany(
                "UPDATE queries SET outputs = ? WHERE request = ? AND position = ?",
                [(row, request, position) for position, row in enumerate(rows)],
            )
            self._write_meta(meta)

        self._save(write, sum(map(len, rows)))
        self.flush()

    def fail(self, request: int, reason: str, *, kind: str | None = None, billed: bool = True) -> None:
        """Writes down that a request ended with an error.

        Args:
            request: What `intend` returned.
            kind: A word for the error, for tables.
            billed: Whether its images may have to be paid for, and hence count as queried.
        """
        statement = "UPDATE requests SET failure = ?, kind = ?, billed = ? WHERE id = ?"
        self._save(lambda: self._file.execute(statement, (reason, kind, billed, request)))

    def charge(self, num_images: int) -> None:
        """Counts images that were queried one by one before the ledger was there."""
        rows = range(self._last + 1, self._last + num_images + 1)
        with self._file.transaction():
            self._check_alone()
            for request in rows:
                self._begin(request, 1)
            self._file.execute("UPDATE requests SET answered = asked WHERE id >= ?", (rows.start,))
        self._last += num_images
        self.flush()

    def count_hits(self, num_images: int) -> None:
        """Counts images that were answered without a query; written with the next answers, or on closing."""
        self._hits += num_images

    def read_meta(self, name: str) -> str | None:
        """Returns a text, or None where there is none of that name."""
        with self._file.reported():
            row = self._file.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def write_meta(self, **meta: str) -> None:
        """Writes texts, over those of the same names."""
        with self._file.transaction():
            self._write_meta(meta)
        self.flush()

    def flush(self) -> None:
        """Waits until what was written is on the disk.

        Raises:
            PixpromptError: The disk does not take it; no further intent is taken.
        """
        if self.durability != DURABILITIES[0]:
            return
        try:
            self._file.flush()
        except PixpromptError as error:
            self._trouble = error
            raise

    def totals(self) -> Totals:
        """Returns what was queried so far, over all sessions."""
        with self._file.reported():
            images, requests, failed, doubtful, images_in_doubt, retried, skipped = self._file.execute(
                f"SELECT coalesce(sum(images * billed), 0), count(*), count(failure), coalesce(sum({IN_DOUBT}), 0),"
                f" coalesce(sum(images * {IN_DOUBT}), 0), count(retry_of),"
                " coalesce(sum(images * (resolved IS 'skip')), 0) FROM requests"
            ).fetchone()
        cached = int(self.read_meta(HITS) or 0) + self._hits
        return Totals(images, requests, failed, doubtful, images_in_doubt, cached, retried, skipped)

    def in_doubt(self) -> list[Doubt]:
        """Returns the requests that were begun and neither answered nor failed, oldest first; running ones, too."""
        query = f"SELECT id, images, asked, resolved, endpoint FROM requests WHERE {IN_DOUBT} ORDER BY id"
        with self._file.reported():
            doubts = [Doubt(*row) for row in self._file.execute(query)]
        for doubt in doubts:
            if not isinstance(doubt.asked, float) or not 0 <= doubt.asked < _YEAR_10000:
                raise PixpromptError(
                    f"{self._file.name} is damaged: request {doubt.request} has no date. Bring back a copy."
                )
        return doubts

    def close(self) -> None:
        """Closes the file; a second time does nothing."""
        try:
            if self._hits:
                self.write_meta()
        finally:
            self._file.close()

    def _check_form(self) -> None:
        saved = self.read_meta(_FORM)
        if saved is None:
            self.write_meta(**{_FORM: self.form})
        elif saved != self.form:
            raise PixpromptError(
                f"{self._file.name} holds {saved} and not {self.form}: it belongs to another kind of model. "
                "Choose another file."
            )

    def _find(self, keys: Sequence[bytes], replicate: int) -> list[bytes | None]:
        answers: dict[bytes, bytes] = {}
        with self._file.reported():
            for start in range(0, len(keys), _KEYS_AT_ONCE):
                some = keys[start : start + _KEYS_AT_ONCE]
                marks = ", ".join("?" * len(some))
                query = f"SELECT key, outputs FROM queries WHERE key IN ({marks}) AND replicate = ?"
                answers.update(self._file.execute(f"{query} AND outputs IS NOT NULL", (*some, replicate)))
        return [answers.get(key) for key in keys]

    def _plan(self, requests: Sequence[Sequence[bytes]], replicate: int) -> range:
        """Writes down which images requests will hold, each by its key; returns the numbers of the requests."""
        self._check_alone()
        keys = [key for request in requests for key in request]
        if len(set(keys)) < len(keys) or any(each is not None for each in self._find(keys, replicate)):
            raise PixpromptError("an image is asked once per replicate; leave out those that are answered.")
        numbers = range(self._last + 1, self._last + 1 + len(requests))
        self._file.executemany(
            "INSERT INTO queries (request, position, key, replicate) VALUES (?, ?, ?, ?)",
            [
                (number, position, key, replicate)
                for number, keys in zip(numbers, requests, strict=True)
                for position, key in enumerate(keys)
            ],
        )
        return numbers

    def _begin(self, request: int, num_images: int, **columns: object) -> None:
        columns = {"id": request, "images": num_images, "asked": time.time(), **columns}
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        self._file.execute(f"INSERT INTO requests ({names}) VALUES ({marks})", tuple(columns.values()))

    def _check_alone(self) -> None:
        if self._last_request() != self._last:
            raise PixpromptError(f"{self._file.name} is written to by another run. Let it finish, or stop it.")

    def _last_request(self) -> int:
        last = (
            "SELECT max(coalesce((SELECT max(id) FROM requests), 0), coalesce((SELECT max(request) FROM queries), 0))"
        )
        with self._file.reported():
            return int(self._file.execute(last).fetchone()[0])

    def _reserve_room(self, num_images: int) -> None:
        """Sets room aside for the answers to requests of so many images, unless something could not be written."""
        if self._trouble is not None:
            raise PixpromptError(
                f"nothing more was sent, since the ledger could not be written ({self._trouble}) What was answered is "
                "kept. Mend that, and resume."
            )
        each = _ROOM_OF_REQUEST + _ROOM_OF_IMAGE * num_images + 2 * self._longest
        self._file.reserve_room(self.num_at_once * each)

    def _save(self, write: Callable[[], object], num_bytes: int = 0) -> None:
        """Writes what was paid for, into the room that was set aside."""
        self._longest = max(self._longest, num_bytes)
        try:
            with self._file.transaction():
                write()
        except PixpromptError as error:
            if isinstance(error.__cause__, sqlite3.Error):
                self._trouble = error
            raise

    def _write_meta(self, meta: dict[str, str]) -> None:
        if self._hits:
            meta = {**meta, HITS: str(int(self.read_meta(HITS) or 0) + self._hits)}
        self._file.executemany("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", meta.items())
        self._hits = 0
