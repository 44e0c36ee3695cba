"""The loop around one batch: wait for the rate limit, write the intent down, send, write down the reply, go on.

It stands above the ledger on purpose: every attempt is begun and ended there, and nothing below repeats a request.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol as Shape

import numpy as np

from ...core import ConfigError, EndpointError
from ...replies.parse import Reply
from ..messages import Fault, FaultKind, Incoming, ItemFault, Outgoing, Picture
from ..protocol import Protocol
from .batch import HOPELESS, Batch, Trouble
from .clock import Clock, Stopped
from .faults import fault_of
from .rate_limit import RateLimit

__all__ = ["Attempts", "Caller", "Final", "Quota", "RetryPolicy", "Sender"]

_LOG = logging.getLogger(__name__)
_COST = 14
_COST_OF_THROTTLE = 5
_REFUND = 1


class Final(EndpointError):
    """Another query about the same images cannot help: they are refused, or fail in the same way each time."""


class Attempts(Shape):
    """Where attempts are written down; called from several threads, `begin` from one at a time."""

    def begin(self, positions: Sequence[int]) -> int:
        """Reserves images of the batch and writes down that they are about to be sent; an error ends the query.

        Returns:
            The number of the request, for exactly one `received` or `failed`.
        """
        ...

    def received(self, request: int, incoming: Incoming, items: Sequence[Reply | ItemFault]) -> None:
        """Writes down what came, one per position, before anything else happens."""
        ...

    def failed(self, request: int, fault: Fault) -> None:
        """Writes down that nothing usable came."""
        ...


class Sender(Shape):
    """A transport."""

    def send(self, outgoing: Outgoing, *, timeout: float) -> Incoming:
        """Sends once, or raises a Fault."""
        ...


@dataclass(frozen=True)
class RetryPolicy:
    """How often, and how long, one batch is sent again.

    Attributes:
        timeout: Seconds for one request.
        deadline: Seconds from the first request of a batch, after which no further one is begun.
        attempts: The most requests of a batch that bring nothing; a throttle counts a quarter.
        first_wait: The longest wait before the first retry, in seconds; it doubles with each.
        longest_wait: Where the doubling ends.
    """

    timeout: float = 60.0
    deadline: float = 600.0
    attempts: int = 6
    first_wait: float = 0.5
    longest_wait: float = 20.0


class Caller:
    """Queries one endpoint; for any number of threads.

    Args:
        sender: Transport to the endpoint.
        generator: For the waits, which are random so that clients do not come back all at once.
        rate_limit: Limit of images per second, shared by all threads. None for no limit until there is a throttle.
        quota: Retries that all threads together may spend.
    """

    def __init__(
        self,
        protocol: Protocol,
        sender: Sender,
        *,
        generator: np.random.Generator,
        rate_limit: RateLimit | None = None,
        retry_policy: RetryPolicy | None = None,
        quota: Quota | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._protocol, self._sender, self._generator = protocol, sender, generator
        self._clock = Clock() if clock is None else clock
        self._rate_limit = RateLimit(clock=self._clock) if rate_limit is None else rate_limit
        self._retry_policy = RetryPolicy() if retry_policy is None else retry_policy
        self._quota = Quota() if quota is None else quota
        self._stop = threading.Event()
        self._gate = threading.RLock()  # a signal may stop the very thread that holds it

    @property
    def timeout(self) -> float:
        """Seconds that one request may take."""
        return self._retry_policy.timeout

    def stop(self) -> None:
        """Ends all waiting, and begins no request any more; what is under way is finished and written down."""
        with self._gate:
            self._stop.set()

    def query(self, pictures: Sequence[Picture], attempts: Attempts) -> list[Reply]:
        """Queries one batch until all of it is answered.

        Args:
            pictures: At most as many as the endpoint takes in one request.
            attempts: Where each request is written down; positions are those of `pictures`.

        Returns:
            One answer per picture.

        Raises:
            EndpointError: The endpoint does not answer; what it did answer has been written down.
            Final: It refuses, or fails in the same way each time.
            Stopped: `stop` was called.
            BudgetError: The images do not fit into the budget.
        """
        batch = Batch(len(pictures), self._protocol.endpoint.url)
        while missing := batch.missing:
            outgoing = self._protocol.request([pictures[position] for position in missing])
            since = self._rate_limit.admit(len(missing), self._stop)
            try:
                items = self._attempt(outgoing, batch, attempts)
            except Fault as fault:
                trouble: Trouble | None = batch.failed(fault)
            else:
                trouble = batch.received(items)
                self._count_success(len(missing) - len(batch.missing), batch)
            if trouble is not None:
                self._recover(trouble, since, batch)
        return batch.replies

    def _attempt(self, outgoing: Outgoing, batch: Batch, attempts: Attempts) -> list[Reply | ItemFault]:
        missing = batch.missing
        with self._gate:
            if self._stop.is_set():
                raise Stopped("stopped; nothing more was sent.")
            request = attempts.begin(missing)
        batch.begin(self._clock.now())
        try:
            incoming = self._sender.send(outgoing, timeout=self._retry_policy.timeout)
            fault = fault_of(incoming, self._clock.date())
            if fault is not None:
                raise fault
            items = self._read(incoming, len(missing))
        except Fault as fault:
            attempts.failed(request, fault)
            raise
        except ConfigError as error:
            attempts.failed(request, Fault(FaultKind.UNSENT, str(error)))
            raise
        except BaseException as error:  # an interrupt: nobody knows how far the request got
            attempts.failed(request, Fault(FaultKind.LOST, type(error).__name__))
            raise
        attempts.received(request, incoming, items)
        return items

    def _read(self, incoming: Incoming, count: int) -> list[Reply | ItemFault]:
        try:
            items = self._protocol.read(incoming, count)
        except Fault as fault:
            fault.incoming = incoming if fault.incoming is None else fault.incoming
            raise
        except Exception as error:  # of any type: the reply was paid for, and is stored
            reason = f"the reply cannot be read: {type(error).__name__}: {error}"
            raise Fault(FaultKind.GARBLED, reason, incoming=incoming) from error
        if len(items) != count:
            reason = f"the reply holds {len(items)} answers, expected {count}"
            raise Fault(FaultKind.GARBLED, reason, incoming=incoming)
        return items

    def _count_success(self, num_answered: int, batch: Batch) -> None:
        if num_answered:
            self._rate_limit.answered(num_answered)
            self._quota.give_back(batch.paid or _REFUND)
            batch.paid = 0

    def _recover(self, trouble: Trouble, since: float, batch: Batch) -> None:
        """Waits before the next attempt, or gives up."""
        fault = trouble.fault
        throttled = fault.kind is FaultKind.THROTTLED
        if throttled:
            self._rate_limit.throttled(since, fault.retry_after)
        if trouble.final is not None:
            error = batch.error(trouble.final, fault)
            raise Final(str(error)) if trouble.final in HOPELESS else error
        if batch.effort >= self._retry_policy.attempts:
            raise batch.error("does not answer", fault)
        longest = min(self._retry_policy.first_wait * 2.0 ** (len(batch.faults) - 1), self._retry_policy.longest_wait)
        delay = (fault.retry_after or 0.0) + float(self._generator.uniform(0.0, longest))
        if self._clock.now() + delay > batch.start + self._retry_policy.deadline:
            raise batch.error(f"does not answer within {self._retry_policy.deadline:g} s", fault)
        cost = _COST_OF_THROTTLE if throttled else _COST
        if not self._quota.take(cost):
            raise batch.error("fails too often, for all images asked lately", fault)
        batch.paid += cost
        _LOG.info("%s; asking again for %d images in %.1f s.", fault.reason, len(batch.missing), delay)
        self._clock.wait(delay, self._stop)


class Quota:
    """A number of tokens that retries cost and successes give back; for any number of threads.

    Args:
        capacity: Tokens at the start, and the most there ever are.
    """

    def __init__(self, capacity: int = 500) -> None:
        self._capacity = self._remaining = capacity
        self._lock = threading.Lock()

    @property
    def remaining(self) -> int:
        """Tokens that may be taken."""
        return self._remaining

    def take(self, tokens: int) -> bool:
        """Takes tokens, all or none; returns whether there were enough."""
        with self._lock:
            enough = tokens <= self._remaining
            self._remaining -= tokens if enough else 0
            return enough

    def give_back(self, tokens: int) -> None:
        """Returns tokens."""
        with self._lock:
            self._remaining = min(self._remaining + tokens, self._capacity)
