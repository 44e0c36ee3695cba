"""Time, as rate limit and retry see it: a value that is passed in, so that nothing has to wait in a test."""

from __future__ import annotations

import threading
import time

from ...core import PixpromptError

__all__ = ["Clock", "Stopped"]


class Stopped(PixpromptError):
    """A stop was requested; nothing more was sent."""


class Clock:
    """The time of this machine."""

    def now(self) -> float:
        """Returns seconds that only ever grow, from an arbitrary start."""
        return time.monotonic()

    def date(self) -> float:
        """Returns seconds since 1970."""
        return time.time()

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Lets time pass.

        Args:
            seconds: How much; 0 or less for none.
            stop: Ends the wait at once.

        Raises:
            Stopped: `stop` was set.
        """
        if stop.is_set() or (seconds > 0 and stop.wait(seconds)):
            raise Stopped("stopped; nothing more was sent.")
