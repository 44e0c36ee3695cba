"""Waiting for what other threads do: for what has happened, never for as long as it usually takes."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pixprompt.remote.calls.retry import Caller
from pixprompt.remote.http.deadline import Deadline

LONG = 60.0
"""Seconds that nothing takes: where they pass, something hangs."""


def until(happened: Callable[[], bool]) -> None:
    """Lets other threads go on until something has happened."""
    end = time.monotonic() + LONG
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError("it does not happen")
        time.sleep(0.001)


def count_stops(monkeypatch: pytest.MonkeyPatch) -> list[Caller]:
    """Returns a list that grows whenever a caller has been told to stop; an interrupt may come at any moment of it."""
    stops: list[Caller] = []
    stop = Caller.stop

    def counted(caller: Caller) -> None:
        stop(caller)
        stops.append(caller)

    monkeypatch.setattr(Caller, "stop", counted)
    return stops


class ManualTimers:
    """In place of the watchdog: the time of requests is over when a test says so.

    Args:
        monkeypatch: Puts it there.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._deadlines: list[Deadline] = []
        self._expired = False
        monkeypatch.setattr("pixprompt.remote.http.deadline.WATCHDOG", self)

    def add(self, deadline: Deadline, seconds: float) -> None:
        self._deadlines.append(deadline)

    def remove(self, deadline: Deadline) -> None:
        self._deadlines.remove(deadline)

    def expire(self) -> None:
        """The time of every request that is under way is over, the first time; that of later ones never is."""
        over, self._expired = [] if self._expired else list(self._deadlines), True
        for deadline in over:
            deadline.expire()


@contextmanager
def nobody_there() -> Iterator[int]:
    """Holds a port on which nobody listens, so that nobody else begins to."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])
