"""How long a client may take, and how much it may send."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """How long and how much a server takes before it gives up on a client; times in seconds.

    Attributes:
        connections: The most at once; more are refused with 503. An idle one costs next to nothing.
        requests: The most that came whole and are worked on at once; more are refused with 503.
        idle: From the end of a response, or the beginning of a connection, to the end of the next request's headers.
        body: For the body of a request, besides one second per `rate` bytes.
        rate: The slowest client, in bytes per second.
        write: For a client to read what was sent to it.
        linger: In which the rest of a refused body is read and dropped, so that the client gets to see the refusal.
        grace: In which requests that came before the end are still answered.
    """

    connections: int = 1000
    requests: int = 64
    idle: float = 60.0
    body: float = 30.0
    rate: float = 1e6
    write: float = 60.0
    linger: float = 2.0
    grace: float = 30.0
