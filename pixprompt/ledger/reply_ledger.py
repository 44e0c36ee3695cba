"""The ledger of a remote model: what came, as it came, and each retry as a request of its own."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, TypeAlias

import numpy as np

from ..core import PixpromptError
from ..replies.incoming import Incoming
from ..replies.parse import Reply
from .ledger import IN_DOUBT, Doubt, Ledger

__all__ = ["SKIPPED", "ReplyLedger", "Skipped", "StoredReply", "from_bytes", "to_bytes"]

_PLANNED = "planned"
"""The text that says when, for whom and since which start of the machine requests were planned."""
_UNSENT = "request NOT IN (SELECT id FROM requests)"
"""The condition for a row of `queries` whose request was planned and not begun."""
_SMALL, _FAST = 512, 1
"""Compression level: a thousand probabilities as text shrink to half in a tenth of a millisecond."""


@dataclass(frozen=True)
class Skipped:
    """In place of a reply: what was in doubt after a crash, or refused, and is not queried again."""


SKIPPED = Skipped()
StoredReply: TypeAlias = Reply | Skipped


class ReplyLedger(Ledger):
    """A ledger whose answers are replies, as they came and what was read out of them.

    Many requests are planned at once, and wait for the disk together; each is marked by `begin` when it is sent. A
    planned request that was never begun is no request, and not in doubt, unless the power went: then marks may be lost.

    Attributes:
        endpoint: A short name of the endpoint; what is said about requests in doubt or refused is about this one.
    """

    form: ClassVar[str] = "replies"

    def __init__(self, path: str | Path | None) -> None:
        super().__init__(path)
        self.endpoint = ""
        self._settle_planned()

    def find_replies(self, keys: Sequence[bytes], replicate: int = 0) -> list[StoredReply | None]:
        """Returns the reply about each key, or None where there is none yet."""
        return [None if each is None else from_bytes(each) for each in self._find(keys, replicate)]

    def plan(self, requests: Sequence[Sequence[bytes]], replicate: int = 0) -> range:
        """Writes down that requests are about to be sent, and waits for the disk; see `Ledger.intend`.

        Args:
            requests: The keys of the images of each.
            replicate: Which query about the same images this is.

        Returns:
            The numbers of the requests, for `begin`.
        """
        self._reserve_room(max(map(len, requests), default=0))
        with self._file.reported():
            with self._file.transaction():
                numbers = self._plan(requests, replicate)
                self._write_meta({_PLANNED: json.dumps([_boot(), self.endpoint, time.time()])})
            self._last += len(numbers)
        self.flush()
        return numbers

    def begin(
        self, request: int, num_images: int, digests: Sequence[bytes] = (), *, retry_of: int | None = None
    ) -> None:
        """Writes down that a planned request is sent now; after `store` or `fail` it is over.

        Args:
            request: One of those that `plan` returned.
            num_images: The number that was planned.
            digests: SHA-256 of the image files as they are sent; none where numbers are sent.
            retry_of: The first request about these images, where this repeats it or a part of it.

        Raises:
            PixpromptError: It cannot be written, or something could not before: nothing may be sent.
        """
        self._reserve_room(num_images)
        row = {"digests": b"".join(digests) or None, "endpoint": self.endpoint, "retry_of": retry_of}
        with self._file.reported():  # one statement is a transaction of its own
            self._begin(request, num_images, **row)

    def withdraw(self, planned: range) -> None:
        """Forgets those of some planned requests that were not begun."""
        with self._file.transaction():
            self._file.execute(
                f"DELETE FROM queries WHERE request BETWEEN ? AND ? AND {_UNSENT}", (planned.start, planned.stop - 1)
            )
            self._last = self._last_request()

    def store(
        self,
        request: int,
        replies: Sequence[Reply | None],
        failures: Sequence[str | None],
        incoming: Incoming,
        bytes_sent: int = 0,
    ) -> None:
        """Writes a reply down: as it came, and what it says about each image; all of it or nothing.

        Args:
            request: One that was begun.
            replies: One per image, None where it failed.
            failures: Why, where it did.
            bytes_sent: Length of the request.

        Raises:
            PixpromptError: It cannot be written, or the request does not wait for so many replies.
        """
        rows = [
            (None if reply is None else to_bytes(reply), failure, request, position)
            for position, (reply, failure) in enumerate(zip(replies, failures, strict=True))
        ]
        values = _columns(incoming, bytes_sent)

        def write() -> None:
            if not self._receive(request, values, len(rows)):
                raise PixpromptError(f"request {request} of {self._file.name} does not wait for {len(rows)} answers.")
            # Or ignore: another session may have queried again while this one still waited.
            self._file.executemany(
                "UPDATE OR IGNORE queries SET outputs = ?, failure = ? WHERE request = ? AND position = ?", rows
            )

        self._save(write, len(incoming.body) + sum(len(row[0] or b"") for row in rows))

    def fail(
        self,
        request: int,
        reason: str,
        *,
        kind: str | None = None,
        billed: bool = True,
        incoming: Incoming | None = None,
        bytes_sent: int = 0,
    ) -> None:
        """Writes down that a request brought no answer.

        Args:
            request: One that was begun.
            kind: How it failed.
            billed: Whether its images may have to be paid for, and hence count as queried.
            incoming: What came, if anything did.
            bytes_sent: Length of the request.
        """
        values = None if incoming is None else _columns(incoming, bytes_sent)

        def write() -> None:
            if values is not None:
                self._receive(request, values, None)
            self._file.execute(
                "UPDATE requests SET failure = ?, kind = ?, billed = ?, bytes_sent = ? WHERE id = ?",
                (reason, kind, billed, bytes_sent, request),
            )

        self._save(write, 0 if incoming is None else len(incoming.body))

    def unresolved(self) -> list[Doubt]:
        """Returns the requests in doubt about which nothing was decided yet."""
        return [doubt for doubt in self.in_doubt() if doubt.resolved is None and doubt.endpoint == self.endpoint]

    def resolve(self, policy: str) -> None:
        """Decides about all requests that are unresolved.

        Args:
            policy: "retry": their images are queried again. "skip": they are left without an answer for good.
        """
        doubtful = f"{IN_DOUBT} AND resolved IS NULL AND endpoint IS ?"
        with self._file.transaction():
            if policy == "skip":
                self._file.execute(
                    "UPDATE OR IGNORE queries SET outputs = ? WHERE outputs IS NULL AND request IN"
                    f" (SELECT id FROM requests WHERE {doubtful})",
                    (_SKIPPED, self.endpoint),
                )
            self._file.execute(f"UPDATE requests SET resolved = ? WHERE {doubtful}", (policy, self.endpoint))
        self.flush()

    def skip(self, key: bytes, replicate: int, reason: str) -> None:
        """Leaves an image without an answer for good, because it is refused.

        Args:
            key: Key of an image that was queried.
            replicate: Which query about it.
        """
        with self._file.transaction():
            self._file.execute(
                "UPDATE OR IGNORE queries SET outputs = ?, failure = ? WHERE key = ? AND replicate = ? AND request ="
                " (SELECT max(request) FROM queries WHERE key = ? AND replicate = ?)",
                (_SKIPPED, reason, key, replicate, key, replicate),
            )

    @property
    def refused(self) -> int:
        """Images that this endpoint refused, and that were left without an answer."""
        query = (
            "SELECT count(*) FROM queries JOIN requests ON requests.id = request WHERE outputs = ?"
            " AND queries.failure IS NOT NULL AND endpoint IS ?"
        )
        with self._file.reported():
            return int(self._file.execute(query, (_SKIPPED, self.endpoint)).fetchone()[0])

    def _receive(self, request: int, values: tuple[object, ...], images: int | None) -> bool:
        return bool(
            self._file.execute(
                "UPDATE requests SET answered = ?, status = ?, headers = ?, body = ?, seconds = ?, bytes_sent = ?,"
                f" bytes_received = ? WHERE id = ? AND images = coalesce(?, images) AND {IN_DOUBT}",
                (*values, request, images),
            ).rowcount
        )

    def _settle_planned(self) -> None:
        """Decides about requests that an earlier session planned and did not begin, as far as the ledger knows."""
        planned = f"SELECT request, count(*) FROM queries WHERE {_UNSENT} GROUP BY request"
        with self._file.reported():
            rows = self._file.execute(planned).fetchall() if self._file.is_first else []
        if not rows:
            return
        boot, endpoint, when = json.loads(self.read_meta(_PLANNED) or '["", "", 0]')
        with self._file.transaction():
            if boot and boot == _boot():  # what that session wrote is all there, although it may have been killed
                self._file.execute(f"DELETE FROM queries WHERE {_UNSENT}")
            else:
                self._file.executemany(
                    "INSERT INTO requests (id, images, asked, endpoint) VALUES (?, ?, ?, ?)",
                    [(request, images, when, endpoint) for request, images in rows],
                )
            self._last = self._last_request()
        self.flush()


def _columns(incoming: Incoming, bytes_sent: int) -> tuple[object, ...]:
    small = len(incoming.body) < _SMALL  # the tables of the usual window cost more than all else
    packer = zlib.compressobj(_FAST, wbits=9, memLevel=1) if small else zlib.compressobj(_FAST)
    body, headers = packer.compress(incoming.body) + packer.flush(), json.dumps(dict(incoming.headers))
    return time.time(), incoming.status, headers, body, incoming.seconds, bytes_sent, len(incoming.body)


@cache
def _boot() -> str:
    """Returns what names the time since this machine was started; nothing where that is not known."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


_SCORES, _NAMED, _WORDS, _SKIPPED = b"s", b"n", b"t", b"-"


def to_bytes(reply: Reply) -> bytes:
    """Returns a reply in the one form that a ledger holds: a letter, then float64, JSON or text."""
    if isinstance(reply, str):
        return _WORDS + reply.encode("utf-8", "surrogatepass")
    if isinstance(reply, dict):
        return _NAMED + json.dumps(reply).encode()
    return _SCORES + np.ascontiguousarray(reply, "<f8").tobytes()


def from_bytes(content: bytes) -> StoredReply:
    """Reads what `to_bytes` made.

    Raises:
        PixpromptError: It is something else.
    """
    kind, rest = content[:1], content[1:]
    try:
        if kind == _SCORES:
            return np.frombuffer(rest, "<f8").astype(np.float64)
        if kind == _NAMED:
            return {str(label): float(score) for label, score in json.loads(rest).items()}
        if kind == _WORDS:
            return rest.decode("utf-8", "surrogatepass")
    except (ValueError, AttributeError, TypeError) as error:
        raise PixpromptError(f"an answer in the ledger is damaged: {error}.") from error
    if kind == _SKIPPED:
        return SKIPPED
    raise PixpromptError(f"an answer in the ledger begins with {kind!r}; was it written by a newer pixprompt?")
