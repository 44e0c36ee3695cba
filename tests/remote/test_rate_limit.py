"""The token bucket and its rate, in closed form, with a clock that nobody waits for."""

from __future__ import annotations

import math
import threading

import pytest
from hypothesis import given, strategies as st

from pixprompt.core import ConfigError
from pixprompt.remote.calls.clock import Clock, Stopped
from pixprompt.remote.calls.rate_limit import RateLimit

from .toy_endpoint import FakeClock

STOP = threading.Event()


def times(rate_limit: RateLimit, images: list[int]) -> list[float]:
    return [rate_limit.admit(count, STOP) for count in images]


def test_a_burst_and_then_the_rate() -> None:
    rate_limit = RateLimit(4.0, burst=8, clock=FakeClock())
    assert times(rate_limit, [8, 8, 8, 4]) == pytest.approx([0.0, 2.0, 4.0, 5.0])


def test_the_bucket_holds_one_burst_however_long_nobody_asks() -> None:
    clock = FakeClock()
    rate_limit = RateLimit(2.0, burst=4, clock=clock)
    clock.time = 1000.0
    assert times(rate_limit, [4, 4]) == pytest.approx([1000.0, 1002.0])


def test_a_request_larger_than_the_bucket_is_paid_for_afterwards() -> None:
    assert times(RateLimit(2.0, burst=2, clock=FakeClock()), [10, 2]) == pytest.approx([0.0, 5.0])


@given(st.floats(0.1, 1000), st.integers(1, 32), st.lists(st.integers(1, 32), min_size=1, max_size=30))
def test_never_more_than_burst_and_rate_allow(rate: float, burst: int, images: list[int]) -> None:
    images = [min(count, burst) for count in images]
    at = times(RateLimit(rate, burst, clock=FakeClock()), images)
    for first in range(len(at)):
        for last in range(first, len(at)):
            num_images = sum(images[first : last + 1])
            assert num_images <= burst + rate * (at[last] - at[first]) + 1e-6 * num_images
    total = sum(images)
    assert at[-1] == pytest.approx(max(0.0, (total - burst) / rate), abs=1e-6 * total / rate)  # and no slower


def test_without_a_rate_nothing_waits() -> None:
    clock = FakeClock()
    rate_limit = RateLimit(clock=clock)
    assert times(rate_limit, [100] * 50) == [0.0] * 50
    rate_limit.answered(5000)
    assert rate_limit.rate is None


def test_a_throttle_halves_the_rate_and_everybody_waits() -> None:
    clock = FakeClock()
    rate_limit = RateLimit(8.0, burst=4, clock=clock)
    since = rate_limit.admit(4, STOP)
    rate_limit.throttled(since, retry_after=3.0)
    assert rate_limit.rate == 4.0
    assert times(rate_limit, [4, 4]) == pytest.approx([3.0, 4.0])  # the bucket fills meanwhile


def test_throttles_of_requests_from_before_the_cut_do_not_cut_again() -> None:
    clock = FakeClock()
    rate_limit = RateLimit(8.0, burst=8, clock=clock)
    num_images = times(rate_limit, [2, 2, 2, 2])
    for since in num_images:
        rate_limit.throttled(since, retry_after=1.0)
    assert rate_limit.rate == 4.0
    later = rate_limit.admit(2, STOP)
    rate_limit.throttled(later)
    assert rate_limit.rate == 2.0


def test_the_rate_does_not_fall_below_the_floor() -> None:
    clock = FakeClock()
    rate_limit = RateLimit(8.0, clock=clock, floor=3.0)
    for expected in (4.0, 3.0, 3.0):
        rate_limit.throttled(rate_limit.admit(1, STOP))
        assert rate_limit.rate == expected
    slow = RateLimit(0.04, clock=FakeClock())
    slow.throttled(slow.admit(1, STOP))
    assert slow.rate == 0.04  # slower than the default floor already


def test_the_rate_grows_linearly_in_time_up_to_what_was_given() -> None:
    clock = FakeClock()
    rate_limit = RateLimit(6.0, clock=clock)
    rate_limit.throttled(rate_limit.admit(1, STOP), retry_after=5.0)
    clock.time = 4.0
    rate_limit.answered(1)
    assert rate_limit.rate == 3.0  # nothing grows while everybody waits
    for second in range(1, 11):
        clock.time = 5.0 + second
        rate_limit.answered(1)
        rate_limit.answered(7)  # how many does not matter, only the time
        assert rate_limit.rate == pytest.approx(3.0 + 0.1 * second)
    clock.time = 1000.0
    rate_limit.answered(1)
    assert rate_limit.rate == pytest.approx(4.1)  # a pause is no sign of health
    for second in range(100):
        clock.time = 1001.0 + second
        rate_limit.answered(1)
    assert rate_limit.rate == 6.0


def test_without_a_rate_the_first_throttle_takes_half_of_what_was_answered() -> None:
    clock = FakeClock()
    rate_limit = RateLimit(burst=10, clock=clock)
    for second in range(5):
        clock.time = float(second)
        rate_limit.admit(100, STOP)
        rate_limit.answered(10)
    rate_limit.throttled(clock.time)
    assert rate_limit.rate == pytest.approx(50 / 4 / 2)
    assert rate_limit.admit(10, STOP) == pytest.approx(4.0 + 10 / 6.25)


def test_without_a_rate_and_an_answer_it_takes_half_of_what_was_sent() -> None:
    rate_limit = RateLimit(burst=10, clock=FakeClock())
    since = times(rate_limit, [10, 10])[0]
    rate_limit.throttled(since)
    assert rate_limit.rate == 10.0


def test_many_senders_are_told_apart_by_the_bucket_only() -> None:
    clock = FakeClock()
    rate_limit = RateLimit(10.0, burst=1, clock=clock)
    at: list[float] = []

    def send() -> None:
        for _ in range(20):
            at.append(rate_limit.admit(1, STOP))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(at) == 80
    assert max(at) >= 79 / 10 - 1e-6
    assert all(len([t for t in at if start <= t < start + 1 - 1e-6]) <= 11 for start in at)


def test_a_stop_ends_the_wait_at_once() -> None:
    stop = threading.Event()
    rate_limit = RateLimit(0.001, clock=Clock())
    rate_limit.admit(1, stop)
    timer = threading.Timer(0.02, stop.set)
    timer.start()
    with pytest.raises(Stopped):
        rate_limit.admit(1, stop)  # a thousand seconds
    timer.join()


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"rate": -1.0}, {"rate": math.inf}, {"burst": 0}, {"floor": 0.0}])
def test_nonsense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        RateLimit(**wrong)  # type: ignore[arg-type]


def test_a_throttle_long_after_everything_else_leaves_a_rate_that_grows() -> None:
    """Nothing is measured then; a rate of 0 would be the floor for ever."""
    clock = FakeClock()
    rate_limit = RateLimit(burst=8, clock=clock)
    since = rate_limit.admit(8, STOP)
    clock.time = 12.0
    rate_limit.throttled(since)
    assert rate_limit.rate == 0.5
    for second in range(13, 43):
        clock.time = second
        rate_limit.answered(1)
    assert rate_limit.rate == pytest.approx(1.0)
