"""How long a client may take, and how much it may send."""

from __future__ import annotations

import io
import socket
import time
from dataclasses import dataclass
from typing import Any

__all__ = ["Limits", "TimedReader"]


@dataclass(frozen=True)
class Limits:
    """How long and how much the server takes before it gives up on a client; times in seconds.

    Attributes:
        connections: At once; more are refused with 503.
        idle: From the end of a response, or the begin of a connection, to the end of the next request's headers.
        body: For the body of a request, besides one second per `rate` bytes.
        rate: The slowest client, in bytes per second.
        write: For a response.
        linger: In which the rest of a refused body is read and dropped, so that the client gets to see the refusal.
        grace: In which requests that came before the end are still answered.
    """

    connections: int = 64
    idle: float = 60.0
    body: float = 30.0
    rate: float = 1e6
    write: float = 60.0
    linger: float = 2.0
    grace: float = 30.0


class TimedReader(io.RawIOBase):
    """Reads from a socket up to a deadline, however slowly the bytes drip."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._connection, self._end = connection, 0.0

    def allow(self, seconds: float) -> None:
        """Sets the deadline."""
        self._end = time.monotonic() + seconds

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Reads what there is, and waits for at least one byte.

        Raises:
            TimeoutError: The deadline has passed.
        """
        remaining = self._end - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the client took too long")
        self._connection.settimeout(remaining)
        return self._connection.recv_into(buffer)
