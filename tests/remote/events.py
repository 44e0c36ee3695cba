"""Waiting for what other threads do: for what has happened, never for as long as it usually takes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from pixprompt.remote.calls.retry import Caller

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
    """The timers of lines, whose time is over when a test says so.

    Args:
        monkeypatch: Puts them where those of the machine were.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ends: list[Callable[[], None]] = []
        self._struck = False
        stands_in = SimpleNamespace(Timer=self._timer, Lock=threading.Lock)
        monkeypatch.setattr("pixprompt.remote.http.deadline.threading", stands_in)

    def _timer(self, seconds: float, end: Callable[[], None]) -> SimpleNamespace:
        def start() -> None:
            self._ends.append(end)

        def cancel() -> None:
            self._ends.remove(end)

        return SimpleNamespace(start=start, cancel=cancel)

    def expire(self) -> None:
        """The time of every request that is under way is over, the first time; that of later ones never is."""
        ends, self._struck = [] if self._struck else list(self._ends), True
        for end in ends:
            end()


@contextmanager
def nobody_there() -> Iterator[int]:
    """Holds a port on which nobody listens, so that nobody else begins to."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])
