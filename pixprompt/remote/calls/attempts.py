"""One batch in the ledger and in the budget: reserved and written down before each attempt, replies as they come."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ...core import PixpromptError
from ...ledger.budget import Budget
from ...ledger.reply_ledger import ReplyLedger
from ...replies.parse import Reply
from ..messages import Fault, FaultKind, Incoming, ItemFault, Outgoing
from .clock import Clock
from .retry import Sender

__all__ = ["LedgerAttempts", "MeteredSender", "UnloggedAttempts", "stored_headers"]

_LOG = logging.getLogger(__name__)
_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between attempts to write an answer down where the file cannot be written, a minute in all."""
_HEADERS = ("content-type", "date", "retry-after", "retry-after-ms", "server", "inference-header-content-length")
_HEADER_PARTS = ("request-id", "ratelimit", "rate-limit", "trace-id", "model")
"""Headers of replies that are stored: those of these names, and those whose name holds one of these parts."""
_OF_THE_IMAGES = (FaultKind.REFUSED, FaultKind.GARBLED, FaultKind.BUSY)
_OF_THE_ENDPOINT = (401, 402, 403, 404, 405, 407, 429, 503, 504)
"""Statuses that are about the sender or the endpoint, and not about the images."""


class MeteredSender:
    """A sender that remembers how long the last request of each thread was."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._local = threading.local()

    @property
    def bytes_sent(self) -> int:
        """Length of the last body that this thread has sent."""
        return int(getattr(self._local, "size", 0))

    def send(self, outgoing: Outgoing, *, timeout: float) -> Incoming:
        """Sends once, or raises a Fault."""
        self._local.size = len(outgoing.body)
        return self._sender.send(outgoing, timeout=timeout)


class LedgerAttempts:
    """Where the requests of one batch are written down.

    Args:
        keys: Keys of the images in the ledger.
        digests: SHA-256 of the image files; none where numbers are sent.
        replicate: Which query about the same images this is.
        planned: The number under which the first request is planned in the ledger.
        meter: The sender of the requests, which knows their length.

    Attributes:
        about_images: Whether the images may be why the last request failed, and not the sender or the endpoint.
    """

    def __init__(
        self,
        ledger: ReplyLedger,
        budget: Budget,
        keys: Sequence[bytes],
        digests: Sequence[bytes],
        replicate: int,
        planned: int,
        meter: MeteredSender,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or Clock()
        self._ledger, self._budget, self._meter = ledger, budget, meter
        self._keys, self._digests, self._replicate = keys, digests, replicate
        self._planned: int | None = planned
        self._first = planned
        self._num_images = 0
        self.about_images = False

    def begin(self, positions: Sequence[int]) -> int:
        """Reserves images and writes the intent down, before they are sent.

        Raises:
            BudgetError: They do not fit into the budget.
        """
        keys = [self._keys[position] for position in positions]
        digests = [self._digests[position] for position in positions] if self._digests else []
        self._budget.reserve(len(keys), 1)
        request, retry_of = self._planned, None
        if request is None:
            request, retry_of = self._ledger.plan([keys], self._replicate)[0], self._first
        self._planned = None
        self._ledger.begin(request, len(keys), digests, retry_of=retry_of)
        self._num_images = len(keys)
        return request

    def received(self, request: int, incoming: Incoming, items: Sequence[Reply | ItemFault]) -> None:
        """Writes down what came, and what it says about each image; it was paid for, so a full disk gets some time.

        Raises:
            PixpromptError: It cannot be written.
        """
        replies = [None if isinstance(item, ItemFault) else item for item in items]
        failures = [item.reason if isinstance(item, ItemFault) else None for item in items]
        self.about_images = any(failures)
        for pause in (*_PAUSES, None):
            try:
                return self._ledger.store(request, replies, failures, _stored(incoming), self._meter.bytes_sent)
            except PixpromptError as error:
                if not isinstance(error.__cause__, sqlite3.OperationalError):
                    raise
                if pause is None:
                    raise PixpromptError(
                        f"the answer to request {request} came and is lost: {error} The request counts as in doubt."
                    ) from error
                _LOG.warning("the answer to request %d waits to be written: %s", request, error)
                self._clock.wait(pause, threading.Event())

    def failed(self, request: int, fault: Fault) -> None:
        """Writes down how an attempt failed; what was surely not billed is released."""
        incoming = fault.incoming
        status = None if incoming is None else incoming.status
        self.about_images = fault.kind in _OF_THE_IMAGES and status is not None and status not in _OF_THE_ENDPOINT
        self._ledger.fail(
            request,
            fault.reason,
            kind=str(fault.kind),
            billed=fault.billed,
            incoming=None if incoming is None else _stored(incoming),
            bytes_sent=self._meter.bytes_sent,
        )
        if not fault.billed:
            self._budget.release(self._num_images)


class UnloggedAttempts:
    """Attempts without a ledger and a budget."""

    def begin(self, positions: Sequence[int]) -> int:
        """Reserves nothing; returns any number."""
        return len(positions)

    def received(self, request: int, incoming: Incoming, items: Sequence[Reply | ItemFault]) -> None:
        """Does nothing."""

    def failed(self, request: int, fault: Fault) -> None:
        """Does nothing."""


def stored_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Returns the headers of a reply that are worth a place in the ledger, with names in lower case."""
    pairs = ((name.lower(), value) for name, value in headers)
    return {name: value for name, value in pairs if name in _HEADERS or any(part in name for part in _HEADER_PARTS)}


def _stored(incoming: Incoming) -> Incoming:
    return replace(incoming, headers=stored_headers(incoming.headers.items()))
