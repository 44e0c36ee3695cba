"""The rules of the retry loop, with a wire and a clock that are made up."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from pixprompt.core import ConfigError
from pixprompt.remote.calls.clock import Clock, Stopped
from pixprompt.remote.calls.rate_limit import RateLimit
from pixprompt.remote.calls.retry import Quota, RetryPolicy
from pixprompt.remote.messages import Incoming, Outgoing

from .events import LONG, until
from .one_batch import LOST, UNSENT, ask, reply, unlike
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


def test_right_answers_come_in_order_with_one_request() -> None:
    answers, book = ask(FakeSender(), 5)
    assert answers == [scores(number) for number in range(5)]
    assert book.events == [("begin", 0), ("received", 0)]


@pytest.mark.parametrize(
    "step",
    [LOST, UNSENT, reply(429), reply(500), reply(503), reply(408), reply(200, b"no json")],
    ids=["lost", "unsent", "429", "500", "503", "408", "garbled"],
)
def test_one_failure_is_retried_once(step: Step) -> None:
    answers, book = ask(FakeSender([step]))
    assert answers == [scores(0), scores(1)]
    assert [word for word, _ in book.events] == ["begin", "failed", "begin", "received"]


@pytest.mark.parametrize("code", [400, 401, 403, 404, 413, 422, 301])
def test_what_is_refused_is_not_retried(code: int) -> None:
    sender = FakeSender(for_ever=reply(code, b"no such thing"))
    answers, book = ask(sender)
    assert len(sender.bodies) == 1
    message = str(answers[0])
    assert f"HTTP {code}" in message
    assert "no such thing" in message
    assert "127.0.0.1:9/model refuses. 1 requests were sent for 2 images (1 x refused); 0 are answered" in message
    assert message.endswith(".")
    assert book.kinds == ["refused"]


@pytest.mark.parametrize(
    ("step", "requests"),
    [
        (reply(500), 2),  # the same twice
        (reply(502), 2),
        (reply(503), 3),  # may pass, and may be the word for an image that cannot be read
        (reply(504), 3),
        (reply(503, retry_after="1"), 6),  # says itself that it passes
        (LOST, 6),
        (UNSENT, 6),
        (reply(429), 24),  # four throttles count as one attempt
        (reply(200, b"no json"), 2),
    ],
)
def test_how_often_a_lasting_failure_is_tried(step: Step, requests: int) -> None:
    sender = FakeSender(for_ever=step)
    answers, book = ask(sender, retry_policy=RetryPolicy(deadline=1e6))
    assert len(sender.bodies) == requests == len(book.positions)
    assert f"{requests} requests were sent" in str(answers[0])


def test_a_failure_that_looks_different_each_time_is_tried_to_the_end() -> None:
    sender = FakeSender(for_ever=unlike())
    assert "does not answer" in str(ask(sender)[0][0])
    assert len(sender.bodies) == 6


BODIES = {
    "request id": b'{"error": "CUDA error", "request_id": "req_011CSHoEeqs5C35K2%04d"}',
    "uuid": b"CUDA error (0f8fad5b-d9cb-469f-a165-%012x)",
    "hexadecimal": b"CUDA error at 0xdeadbeef%04x",
    "time": b"2026-01-01T00:00:%02d.5Z CUDA error",
    "number": b"CUDA error after %d ms",
}


@pytest.mark.parametrize("code", [500, 503])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_numbers_in_a_body_do_not_make_another_failure_of_it(body: bytes, code: int) -> None:
    numbers = iter(range(1, 100))
    sender = FakeSender(for_ever=lambda _: reply(code, body % next(numbers)))
    assert "fails in the same way each time" in str(ask(sender)[0][0])
    assert len(sender.bodies) == {500: 2, 503: 3}[code]


def test_a_body_of_one_long_word_is_no_work() -> None:
    start = time.process_time()
    ask(FakeSender(for_ever=reply(500, b"a" * (1 << 16))))
    assert time.process_time() - start < 3


def test_the_same_failure_in_between_others_is_final_as_well() -> None:
    sender = FakeSender([reply(500), LOST, reply(429), reply(500)])
    assert "fails in the same way each time" in str(ask(sender)[0][0])
    assert len(sender.bodies) == 4


def test_garbled_replies_are_retried_once_whatever_they_say() -> None:
    sender = FakeSender([reply(200, b"a"), reply(200, b"b")])
    assert "answers what cannot be read" in str(ask(sender)[0][0])
    assert len(sender.bodies) == 2


def test_a_protocol_that_stumbles_is_a_garbled_reply_and_keeps_it() -> None:
    answers, book = ask(FakeSender([reply(200, b'{"answers": [1, 2]}')]))
    assert answers == [scores(0), scores(1)]
    assert "TypeError" in book.faults[0].reason
    assert book.faults[0].incoming is not None
    assert book.faults[0].incoming.body == b'{"answers": [1, 2]}'


def test_too_few_answers_are_garbled() -> None:
    answers, book = ask(FakeSender([reply(200, b'{"answers": [{"cat": 1}]}')]))
    assert answers == [scores(0), scores(1)]
    assert book.faults[0].reason == "the reply holds 1 answers, expected 2"


def test_only_what_failed_is_asked_again() -> None:
    sender = FakeSender([failing(1, 3), failing(0)])
    answers, book = ask(sender, 5)
    assert answers == [scores(number) for number in range(5)]
    assert list(book.positions.values()) == [[0, 1, 2, 3, 4], [1, 3], [1]]
    assert [word for word, _ in book.events] == ["begin", "received"] * 3


def test_what_brings_some_answers_does_not_count_against_the_attempts() -> None:
    sender = FakeSender([failing(*range(number), kind="throttled") for number in range(5, 0, -1)])
    answers, book = ask(sender, 6, retry_policy=RetryPolicy(attempts=1))
    assert answers == [scores(number) for number in range(6)]
    assert len(book.positions) == 6
    assert "does not answer" in str(ask(FakeSender([failing(0, 1)]), 2, retry_policy=RetryPolicy(attempts=1))[0][0])


def test_an_image_that_fails_twice_in_the_same_way_is_final() -> None:
    def stubborn(outgoing: Outgoing) -> Incoming:
        whole = right(outgoing)
        return Incoming(200, {}, whole.body.replace(b'{"cat": 0.00784', b'{"error": "cannot decode", "x": 0.00784'))

    sender = FakeSender(for_ever=stubborn)
    answers, book = ask(sender, 4)
    assert list(book.positions.values()) == [[0, 1, 2, 3], [2]]
    assert "3 are answered and kept. Last: image 3 of 4 failed: cannot decode." in str(answers[0])


def test_an_image_that_is_refused_is_not_asked_again() -> None:
    sender = FakeSender([failing(2, kind="refused")])
    assert "refuses" in str(ask(sender, 4)[0][0])
    assert len(sender.bodies) == 1


def test_throttled_images_slow_the_pace_down() -> None:
    clock = FakeClock()
    rate_limit = RateLimit(8.0, burst=4, clock=clock)
    ask(FakeSender([failing(0, kind="throttled")]), 4, clock, rate_limit=rate_limit)
    assert rate_limit.rate == pytest.approx(4.0, abs=0.2)


# Waits ----------------------------------------------------------------------------------------------------------------


def test_waits_are_full_jitter_and_double_up_to_the_cap() -> None:
    retry_policy = RetryPolicy(attempts=9, deadline=1e6)
    waits = []
    for seed in range(200):
        clock = FakeClock()
        ask(FakeSender(for_ever=LOST), clock=clock, retry_policy=retry_policy, seed=seed)
        waits.append(clock.waits)
    table = np.array(waits)
    bounds = np.array([0.5, 1, 2, 4, 8, 16, 20, 20])
    assert table.shape == (200, 8)
    assert (table >= 0).all()
    assert (table <= bounds).all()
    # Uniform from 0: the mean is half the bound, and both ends are reached; a fixed or "equal" jitter is not like that.
    assert (abs(table.mean(0) / bounds - 0.5) < 4 * (1 / 12 / 200) ** 0.5).all()
    assert (table.min(0) < 0.05 * bounds).all()
    assert (table.max(0) > 0.95 * bounds).all()


@pytest.mark.parametrize("code", [429, 503, 500])
def test_retry_after_is_the_least_that_is_waited(code: int) -> None:
    for seed in range(20):
        clock = FakeClock()
        ask(FakeSender([reply(code, retry_after="7")]), clock=clock, seed=seed)
        assert 7.0 <= clock.time <= 7.5 + 2.0  # the rate_limit is slower after a throttle


def test_no_request_is_begun_after_the_deadline() -> None:
    clock = FakeClock()
    sender = FakeSender(for_ever=reply(503, retry_after="50"))
    answers, _ = ask(sender, clock=clock, retry_policy=RetryPolicy(deadline=120.0))
    assert "does not answer within 120 s" in str(answers[0])
    assert len(sender.bodies) == 3  # at 0, 50 and 100 seconds
    assert clock.time < 105  # and it does not wait for the end to come


def test_the_deadline_starts_with_the_first_request_not_in_the_queue() -> None:
    clock = FakeClock()
    rate_limit = RateLimit(0.01, burst=2, clock=clock)
    asker = caller(
        FakeSender([None or right, LOST]), clock, rate_limit=rate_limit, retry_policy=RetryPolicy(deadline=250.0)
    )
    for _ in range(2):
        asker.query(pictures(2), AttemptRecorder())
    assert clock.time > 250


def test_an_outage_uses_the_quota_up_and_successes_bring_it_back() -> None:
    quota = Quota(30)
    sender = FakeSender(for_ever=LOST)
    answers, book = ask(sender, quota=quota)
    assert len(book.positions) == 3  # two retries for 14 each
    assert quota.remaining == 2
    assert "fails too often" in str(answers[0])
    assert len(ask(sender, quota=quota)[1].positions) == 1  # the next batch does not even retry
    for _ in range(12):
        ask(FakeSender(), quota=quota)
    assert quota.remaining == 14
    ask(FakeSender([LOST]), quota=quota)
    assert quota.remaining == 14  # what a retry cost comes back when it helps
    assert not quota.take(15)
    quota.give_back(1000)
    assert quota.remaining == 30


def test_throttles_cost_less() -> None:
    quota = Quota(30)
    ask(FakeSender(for_ever=reply(429)), quota=quota)
    assert quota.remaining == 0  # six retries for 5 each


# Whatever else can happen ---------------------------------------------------------------------------------------------


def test_a_budget_that_is_spent_ends_it_before_anything_is_sent() -> None:
    sender, book = FakeSender(for_ever=LOST), AttemptRecorder(budget=5)
    with pytest.raises(BudgetSpent):
        caller(sender, FakeClock()).query(pictures(2), book)
    assert (len(sender.bodies), len(book.positions), book.budget) == (2, 2, 1)
    assert book.is_legal


@pytest.mark.parametrize(
    ("error", "kind"), [(ConfigError("KEY is missing"), "unsent"), (KeyboardInterrupt(), "lost"), (OSError(), "lost")]
)
def test_whatever_breaks_the_sending_is_written_down(error: BaseException, kind: str) -> None:
    book = AttemptRecorder()
    with pytest.raises(type(error)):
        caller(FakeSender([error]), FakeClock()).query(pictures(1), book)
    assert book.is_legal
    assert book.kinds == [kind]


def test_a_stop_ends_waiting_threads_and_lets_a_request_finish() -> None:
    sent, go = threading.Event(), threading.Event()

    def slow(outgoing: Outgoing) -> Incoming:
        sent.set()
        go.wait(LONG)
        return right(outgoing)

    retry_policy = RetryPolicy(first_wait=1e6, longest_wait=1e6, deadline=1e9)
    asker = caller(FakeSender([LOST, slow]), Clock(), retry_policy=retry_policy)
    books, ends = [AttemptRecorder(), AttemptRecorder()], ["", ""]

    def run(number: int) -> None:
        try:
            asker.query(pictures(1), books[number])
            ends[number] = "answered"
        except Stopped:
            ends[number] = "stopped"

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    threads[0].start()
    until(lambda: len(books[0].events) == 2)  # its request is lost
    threads[1].start()
    sent.wait(LONG)
    asker.stop()
    threads[0].join(LONG)
    assert ends == ["stopped", ""]
    go.set()
    threads[1].join(LONG)
    assert ends == ["stopped", "answered"]
    with pytest.raises(Stopped):
        asker.query(pictures(1), books[0])
    assert [book.events for book in books] == [[("begin", 0), ("failed", 0)], [("begin", 0), ("received", 0)]]
