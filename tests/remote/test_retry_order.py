"""Whatever the wire does: attempts are written down in a legal order, and nothing is paid for without need."""

from __future__ import annotations

import contextlib
import math
import threading

from hypothesis import given, strategies as st

from pixprompt.core import EndpointError
from pixprompt.remote.calls.retry import Quota, RetryPolicy
from pixprompt.remote.messages import Fault, FaultKind, Incoming, Outgoing

from .toy_endpoint import (
    AttemptRecorder,
    BudgetSpent,
    FakeClock,
    FakeSender,
    Step,
    caller,
    failing,
    pictures,
    right,
    scores,
)

STEPS: list[Step] = [
    right,
    Fault(FaultKind.LOST, "dropped"),
    Fault(FaultKind.UNSENT, "no connection"),
    Fault(FaultKind.GARBLED, "too long"),
    Fault(FaultKind.REFUSED, "redirected"),
    *(Incoming(code, {"retry-after": "1"}, b"") for code in (200, 302, 400, 404, 408, 429, 500, 503)),
    failing(0),
    failing(0, kind="throttled"),
    failing(0, kind="refused"),
]
SCRIPTS = st.lists(st.sampled_from(STEPS), max_size=12)


class Watched(FakeSender):
    """Sees to it that every request that is sent was begun, and that nothing else is open."""

    def __init__(self, script: list[Step], book: AttemptRecorder) -> None:
        super().__init__(script)
        self.book = book

    def send(self, outgoing: Outgoing, *, timeout: float) -> Incoming:
        words = [word for word, _ in self.book.events]
        if words.count("begin") != len(self.bodies) + 1 or words[-1] != "begin":
            raise AssertionError(f"sent without an intent: {self.book.events}")
        return super().send(outgoing, timeout=timeout)


@given(SCRIPTS, st.integers(1, 4), st.integers(0, 20))
def test_each_request_is_begun_before_it_is_sent_and_ended_once(script: list[Step], count: int, budget: int) -> None:
    book = AttemptRecorder(budget=budget)
    sender = Watched(script, book)
    with contextlib.suppress(EndpointError, BudgetSpent):
        assert caller(sender, FakeClock()).query(pictures(count), book) == [scores(number) for number in range(count)]
    assert book.is_legal
    assert [request for _, request in book.events] == sorted(request for _, request in book.events)
    assert len(sender.bodies) == len(book.positions)
    assert sum(map(len, book.positions.values())) == budget - (book.budget or 0)
    calls: set[int] = set()
    for positions in book.positions.values():
        assert positions == sorted(set(positions))
        assert not calls or set(positions) <= calls  # what was answered is never asked again
        calls = set(positions)


def test_an_illegal_book_is_seen() -> None:
    for wrong in (
        [("begin", 0)],
        [("received", 0)],
        [("begin", 0), ("received", 0), ("failed", 0)],
        [("failed", 0), ("begin", 0)],
    ):
        assert not AttemptRecorder(events=wrong).is_legal  # negative controls
    assert AttemptRecorder(events=[("begin", 0), ("begin", 1), ("received", 1), ("failed", 0)]).is_legal


class OwnFaults(FakeSender):
    """Plays the same faults to each thread, so that none meets those of another: the same one twice ends a request."""

    def __init__(self) -> None:
        super().__init__()
        self.senders: dict[str, FakeSender] = {}

    def send(self, outgoing: Outgoing, *, timeout: float) -> Incoming:
        self.bodies.append(outgoing.body)
        faults: list[Step] = [Fault(FaultKind.LOST, "dropped"), right, Incoming(429, {}, b""), right, failing(0), right]
        sender = self.senders.setdefault(threading.current_thread().name, FakeSender(faults * 3))
        return sender.send(outgoing, timeout=timeout)


def test_many_threads_share_one_caller() -> None:
    sender = OwnFaults()
    quota = Quota(10_000)
    # One thread's waits are hours to the others, while the clock is made up: no request may be too late for that.
    shared = caller(sender, FakeClock(), quota=quota, retry_policy=RetryPolicy(deadline=math.inf))
    book = AttemptRecorder()
    results: list[object] = []

    def run() -> None:
        for _ in range(25):
            results.append(shared.query(pictures(4), book))

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[scores(number) for number in range(4)]] * 150
    assert book.is_legal
    assert len(book.positions) == len(sender.bodies) == 150 + 6 * 9  # one more for each failure
    assert quota.remaining == 10_000
