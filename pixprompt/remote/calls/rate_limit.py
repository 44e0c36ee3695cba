"""How fast images go out: a token bucket, its rate halved when the endpoint says so and grown back in small steps."""

from __future__ import annotations

import math
import threading
from collections import deque

from ...core import ConfigError
from .clock import Clock

__all__ = ["RateLimit"]

_FLOOR = 0.05
_RECOVERY = 60.0
"""Seconds in which the rate grows by as much as it started with."""
_LONGEST_STEP = 1.0
"""Seconds between two answers that count for growth: a pause is no sign that the endpoint takes more."""
_WINDOW = 10.0
_UNMEASURED = 1.0
"""Images per second that a throttle halves where nothing was sent or answered lately."""
_CLOSE = 1e-9


class RateLimit:
    """Lets images through at a rate; for any number of threads.

    The bucket holds `burst` images and fills at the rate; whoever wants to send takes its images out, and waits while
    there are too few. After a throttle the rate is halved, and everybody waits for as long as the endpoint asks; with
    every answer it grows again, linearly in time, up to the rate given. Without a given rate nothing waits until the
    first throttle, which sets the rate to half of what was lately answered.

    Args:
        rate: Images per second; None for no limit until there is a throttle.
        burst: Images of one batch.
        floor: The rate is never halved below this; None for one in 20 seconds, or the rate if that is less.

    Raises:
        ConfigError: A number is not positive.
    """

    def __init__(
        self, rate: float | None = None, burst: int = 1, *, clock: Clock | None = None, floor: float | None = None
    ) -> None:
        if burst < 1 or not all(value is None or 0 < value < math.inf for value in (rate, floor)):
            raise ConfigError(f"expected a rate above 0 images per second, got {rate} (burst {burst}, floor {floor}).")
        self._clock = Clock() if clock is None else clock
        self._ceiling = math.inf if rate is None else rate
        self._rate = rate
        self._floor = min(self._ceiling, _FLOOR) if floor is None else min(self._ceiling, floor)
        self._slope = 0.0 if rate is None else rate / _RECOVERY
        self._burst = float(burst)
        self._tokens = self._burst
        self._filled = self._grown = self._clock.now()
        self._hold = self._cut = -math.inf
        self._admitted, self._answered = _Meter(), _Meter()
        self._lock = threading.Lock()

    @property
    def rate(self) -> float | None:
        """Images per second at present; None for no limit."""
        return self._rate

    def admit(self, num_images: int, stop: threading.Event) -> float:
        """Waits until images may be sent.

        Args:
            stop: Ends the wait at once.

        Returns:
            The time, for `throttled`.

        Raises:
            Stopped: `stop` was set.
        """
        while True:
            with self._lock:
                now = self._clock.now()
                delay = self._delay(num_images, now)
                if delay <= 0:
                    self._tokens -= num_images
                    self._admitted.add(num_images, now)
                    return now
            self._clock.wait(delay, stop)

    def answered(self, num_images: int) -> None:
        """Counts images that were answered: the rate grows."""
        with self._lock:
            now = self._clock.now()
            self._answered.add(num_images, now)
            if self._rate is not None:
                self._fill(now)
                step = min(max(now - self._grown, 0.0), _LONGEST_STEP)
                self._rate = min(self._rate + self._slope * step, self._ceiling)
                self._grown = max(now, self._grown)

    def throttled(self, since: float, retry_after: float | None = None) -> None:
        """Slows down, as the endpoint asks.

        Args:
            since: What `admit` returned for the request. One sent before the last cut says nothing new about the rate.
            retry_after: Seconds that everybody waits.
        """
        with self._lock:
            now = self._clock.now()
            self._fill(now)
            self._hold = max(self._hold, now + (retry_after or 0.0))
            if since <= self._cut:
                return
            if self._rate is None:
                self._rate = self._answered.rate(now) or self._admitted.rate(now) or _UNMEASURED
                self._slope = self._rate / _RECOVERY
            self._rate = max(self._rate / 2, self._floor)
            self._tokens = min(self._tokens, 0.0)
            self._cut, self._grown = now, self._hold

    def _delay(self, num_images: int, now: float) -> float:
        self._fill(now)
        lacking = min(float(num_images), self._burst) - self._tokens
        if self._rate is None or lacking < _CLOSE:
            return self._hold - now
        return max(lacking / self._rate, self._hold - now)

    def _fill(self, now: float) -> None:
        gained = math.inf if self._rate is None else self._rate * (now - self._filled)
        self._tokens = min(self._tokens + gained, self._burst)
        self._filled = now


class _Meter:
    """Images per second of the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, num_images: int, now: float) -> None:
        self._seen.append((now, num_images))
        self._forget(now)

    def rate(self, now: float) -> float:
        self._forget(now)
        if not self._seen:
            return 0.0
        return sum(count for _, count in self._seen) / max(now - self._seen[0][0], 1.0)

    def _forget(self, now: float) -> None:
        while self._seen and self._seen[0][0] < now - _WINDOW:
            self._seen.popleft()
