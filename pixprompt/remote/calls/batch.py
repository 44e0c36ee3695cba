"""What has become of one batch so far: its answers, its failures, and whether another request can help."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from ...core import EndpointError
from ...replies.parse import Reply
from ...urls import plain_url
from ..messages import Fault, FaultKind, ItemFault

__all__ = ["HOPELESS", "Batch", "Trouble"]

_TRANSIENT = (503, 504)
"""Statuses that say themselves that a retry may help; but some servers say 503 to an image that they cannot read."""
_REPEATS, _TRANSIENT_REPEATS = 2, 3
"""How often the same failure of the same request comes before it is final; `_TRANSIENT` with a Retry-After never is."""
_WORD = re.compile(rb"[\w-]+")
_DIGIT = re.compile(rb"[0-9]")
_THROTTLE_EFFORT = 0.25
_REFUSES, _SAME_FAILURE = "refuses", "fails in the same way each time"
HOPELESS = (_REFUSES, _SAME_FAILURE)
"""Reasons to give up for which the same images will not be answered later either."""
_STATUS_ADVICE = {
    401: "Check the credentials.",
    403: "Check the credentials, and what they are allowed to do.",
    404: "Check the URL and the name of the model.",
    413: "Send fewer images per request.",
}
_ADVICE = {
    FaultKind.UNSENT: "Check the address, and whether the endpoint is up.",
    FaultKind.THROTTLED: "Ask more slowly, or have the limit raised.",
    FaultKind.BUSY: "Run again when the endpoint is well.",
    FaultKind.LOST: "Run again when the endpoint is well, with a longer timeout if it is slow.",
    FaultKind.GARBLED: "Check that this is the protocol which the endpoint speaks.",
    FaultKind.REFUSED: "Check the protocol, its options, and what the endpoint takes.",
}


@dataclass(frozen=True)
class Trouble:
    """Why a batch is not answered yet.

    Attributes:
        final: Why another request cannot help, to follow the name of the endpoint; None where it may.
    """

    fault: Fault
    final: str | None


class Batch:
    """The state of one batch.

    Args:
        url: URL of the endpoint, for messages.

    Attributes:
        effort: Failed requests, as far as they count against the number of attempts.
        paid: Tokens of the quota that retries have cost since the last answer.
    """

    def __init__(self, num_images: int, url: str) -> None:
        self._url = url
        self._replies: dict[int, Reply] = {}
        self._num_images = num_images
        self._num_requests = 0
        self._seen: Counter[_Mark] = Counter()
        self._start: float | None = None
        self.effort = 0.0
        self.paid = 0
        self.faults: list[Fault] = []

    @property
    def missing(self) -> list[int]:
        """Positions without an answer."""
        return [position for position in range(self._num_images) if position not in self._replies]

    @property
    def replies(self) -> list[Reply]:
        """The answers, in order, once none is missing."""
        return [self._replies[position] for position in range(self._num_images)]

    @property
    def start(self) -> float:
        """When the first request was begun, by the clock; 0 before."""
        return 0.0 if self._start is None else self._start

    def begin(self, now: float) -> None:
        """Counts a request that is begun."""
        self._start = now if self._start is None else self._start
        self._num_requests += 1

    def failed(self, fault: Fault) -> Trouble:
        """Counts a request that brought nothing."""
        self.faults.append(fault)
        self.effort += _THROTTLE_EFFORT if fault.kind is FaultKind.THROTTLED else 1.0
        final = self._final([fault.kind], [_mark(tuple(self.missing), fault)])
        return Trouble(fault, final)

    def received(self, items: Sequence[Reply | ItemFault]) -> Trouble | None:
        """Records one answer or failure per missing image; returns None where none failed."""
        answers = list(zip(self.missing, items, strict=True))
        failed = [(position, item) for position, item in answers if isinstance(item, ItemFault)]
        self._replies.update({position: item for position, item in answers if not isinstance(item, ItemFault)})
        if not failed:
            return None
        position, worst = next((pair for pair in failed if pair[1].kind is FaultKind.REFUSED), failed[0])
        fault = Fault(worst.kind, f"image {position + 1} of {self._num_images} failed: {worst.reason}")
        self.faults.append(fault)
        if len(failed) == len(items):
            self.effort += _THROTTLE_EFFORT if worst.kind is FaultKind.THROTTLED else 1.0
        marks = [_item_mark(position, item) for position, item in failed]
        return Trouble(fault, self._final([item.kind for _, item in failed], marks))

    def error(self, what: str, fault: Fault) -> EndpointError:
        """Returns the error to give up with.

        Args:
            what: What the endpoint does, to follow its name.
        """
        kinds = Counter(fault.kind.value for fault in self.faults)
        tally = ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
        status = None if fault.incoming is None else fault.incoming.status
        kind = FaultKind.REFUSED if what == _SAME_FAILURE and fault.kind is FaultKind.BUSY else fault.kind
        advice = _STATUS_ADVICE.get(status or 0, _ADVICE[kind])
        return EndpointError(
            f"{plain_url(self._url)} {what}. {self._num_requests} requests were sent for {self._num_images} images "
            f"({tally}); {len(self._replies)} are answered and kept. Last: {fault.reason.rstrip('.')}. {advice}"
        )

    def _final(self, kinds: Sequence[FaultKind], marks: Sequence[_Mark | None]) -> str | None:
        known = [mark for mark in marks if mark is not None]
        self._seen.update(known)
        again = any(self._seen[mark] >= mark.repeats for mark in known)
        if FaultKind.REFUSED in kinds:
            return _REFUSES
        if again:
            return _SAME_FAILURE
        garbled = sum(fault.kind is FaultKind.GARBLED for fault in self.faults)
        return "answers what cannot be read" if FaultKind.GARBLED in kinds and garbled > 1 else None


@dataclass(frozen=True)
class _Mark:
    """The same for the same failure of the same request."""

    what: Hashable
    repeats: int = _REPEATS


def _mark(positions: tuple[int, ...], fault: Fault) -> _Mark | None:
    """Returns None where repetition says nothing."""
    incoming = fault.incoming
    if incoming is None or fault.kind is FaultKind.THROTTLED:
        return None
    transient = incoming.status in _TRANSIENT
    if transient and fault.retry_after is not None:
        return None
    what = positions, fault.kind, incoming.status, _digest(incoming.body)
    return _Mark(what, _TRANSIENT_REPEATS if transient else _REPEATS)


def _item_mark(position: int, item: ItemFault) -> _Mark | None:
    return None if item.kind is FaultKind.THROTTLED else _Mark((position, item.kind, item.reason))


def _digest(text: bytes) -> bytes:
    """Digests the words without a digit: request ids, times and addresses differ each time."""
    words = _WORD.sub(lambda match: b"#" if _DIGIT.search(match[0]) else match[0], text)
    return hashlib.sha256(words).digest()
