"""One request on the wire: whether anything of it left, and an end to it at a given moment, whatever it is doing.

Timeouts of sockets start again with every byte, and a client that only has those waits forever for an endpoint that
sends a byte now and then. So the connections of this module show their socket to the request of their thread, which
shuts it down when its time is over.
"""

from __future__ import annotations

import math
import socket
import threading
import time
from contextlib import suppress
from http.client import HTTPResponse
from types import TracebackType
from typing import Any, Self

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

__all__ = ["POOLS", "WATCHDOG", "Deadline", "Watchdog"]

_THREAD = threading.local()


class Deadline:
    """The time of the request that this thread is sending, from `with` to its end.

    Args:
        seconds: From now until the connection is cut off.

    Attributes:
        started: When the first byte was sent, by `time.monotonic`; None while none was.
        cut: Whether the time was over.
    """

    def __init__(self, seconds: float) -> None:
        self.started: float | None = None
        self.cut = False
        self._seconds = seconds
        self._socket: Any = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        _THREAD.deadline = self
        WATCHDOG.add(self, self._seconds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:  # from here on the socket may belong to the next request
            self._socket = None
        WATCHDOG.remove(self)
        _THREAD.deadline = None

    def attach(self, used: Any, *, begins: bool = True) -> None:
        """Registers a socket that something is about to be written to.

        Args:
            used: The socket.
            begins: Whether that is the request itself, and not the question to a proxy for a way to the endpoint.

        Raises:
            TimeoutError: The time is over.
        """
        with self._lock:
            if self.cut:
                raise TimeoutError("the time was over before anything was sent")
            if begins and self.started is None:
                self.started = time.monotonic()
            self._socket = used

    def expire(self) -> None:
        """Ends the request: its time is over."""
        with self._lock:
            self.cut = True
            if isinstance(self._socket, socket.socket):
                with suppress(OSError):  # closed already
                    # Not the method of a TLS socket, which would pull the encryption from under the reading thread.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class Watchdog:
    """One thread that ends every request whose time is over; a thread per request would cost as much as the request."""

    def __init__(self) -> None:
        self._ends: dict[Deadline, float] = {}
        self._changed = threading.Condition(threading.Lock())
        self._wakes = math.inf
        self._thread: threading.Thread | None = None

    def add(self, deadline: Deadline, seconds: float) -> None:
        """Ends a request after some seconds, unless it is removed before."""
        end = time.monotonic() + seconds
        with self._changed:
            self._ends[deadline] = end
            if self._thread is None or not self._thread.is_alive():  # the first time, or in a fork
                self._thread = threading.Thread(target=self._watch, name="pixprompt deadlines", daemon=True)
                self._thread.start()
            elif end < self._wakes:
                self._changed.notify()

    def remove(self, deadline: Deadline) -> None:
        """Forgets a request, which has ended by itself."""
        with self._changed:
            self._ends.pop(deadline, None)

    def _watch(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                over = [deadline for deadline, end in self._ends.items() if end <= now]
                for deadline in over:
                    del self._ends[deadline]
                if not over:
                    self._wakes = min(self._ends.values(), default=math.inf)
                    self._changed.wait(None if self._wakes == math.inf else self._wakes - now)
            for deadline in over:
                deadline.expire()


WATCHDOG = Watchdog()


class _Response(HTTPResponse):
    def begin(self) -> None:
        super().begin()
        # A server that failed inside may close its connection behind the answer without saying so, and a request that
        # goes out at that moment is lost.
        self.will_close = self.will_close or self.status >= 500


class _Plain(HTTPConnection):
    response_class = _Response

    def send(self, data: Any) -> None:
        _show(self)
        super().send(data)


class _Encrypted(HTTPSConnection):
    response_class = _Response
    _is_connected = False

    def connect(self) -> None:
        self._is_connected = False
        super().connect()  # which sends a CONNECT where there is a proxy
        self._is_connected = True

    def send(self, data: Any) -> None:
        _show(self, begins=self._is_connected or self.sock is None)
        super().send(data)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _EncryptedPool(HTTPSConnectionPool):
    ConnectionCls = _Encrypted


POOLS = {"http": _PlainPool, "https": _EncryptedPool}
"""For a pool manager of urllib3: pools whose connections belong to a `Deadline`."""


def _show(connection: HTTPConnection, *, begins: bool = True) -> None:
    if connection.sock is None:
        connection.connect()
    deadline: Deadline | None = getattr(_THREAD, "deadline", None)
    if deadline is not None:
        deadline.attach(connection.sock, begins=begins)
