"""What every request passes before it is worked on: the right host, a body within its limits, and room."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from .limits import Limits
from .messages import RequestError, Response

__all__ = ["Intake", "is_loopback", "send_response", "to_the_end"]

_MAX_HEADERS = 100


class Intake:
    """Reads requests of one server; in its event loop.

    Args:
        max_bytes: The longest body.
        host: Address that the server listens on.
        chunked: Whether bodies may come without Content-Length.

    Attributes:
        ending: Whether the server takes nothing new.
        num_requests: Requests that are worked on.
    """

    def __init__(self, limits: Limits, max_bytes: int, host: str, *, chunked: bool = False) -> None:
        self.limits, self.max_bytes = limits, max_bytes
        self._host, self._chunked = host, chunked
        self.ending = False
        self.num_requests = 0
        self._reading: set[asyncio.Timeout] = set()

    def end(self) -> None:
        """Gives up on bodies that are not there yet."""
        self.ending = True
        for timer in self._reading:
            timer.reschedule(asyncio.get_running_loop().time())

    def check_headers(self, request: Request) -> None:
        """Refuses too many headers, and what is meant for another name, where this machine alone is served.

        A page in a browser of this machine may come from a name that its owner leads to 127.0.0.1.
        """
        if len(request.headers) > _MAX_HEADERS:
            raise RequestError(431, f"at most {_MAX_HEADERS} headers.")
        host = request.headers.get("host", "")
        if host and is_loopback(self._host) and not is_loopback(_without_port(host)):
            raise RequestError(421, f"this server answers as {self._host} only, got the Host {host[:60]!r}.")

    async def read(self, request: Request) -> bytes:
        """Returns the body; nothing of it is read for a length that is refused.

        Raises:
            RequestError: It is too long, too slow or cut.
            starlette.requests.ClientDisconnect: The client has gone.
        """
        length = self._length(request)
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.body + (length or 0) / self.limits.rate) as timer:
                self._reading.add(timer)
                try:
                    async for chunk in request.stream():
                        body += chunk
                        if len(body) > self.max_bytes:
                            raise self._too_long(len(body))
                finally:
                    self._reading.discard(timer)
        except TimeoutError as error:
            if self.ending:
                raise RequestError(503, "the server ends; the body was not there yet.") from error
            raise RequestError(408, f"the body took too long; {len(body)} bytes came.") from error
        if length is not None and len(body) < length:
            raise RequestError(400, f"the body ended after {len(body)} of {length} bytes.")
        return bytes(body)

    @contextmanager
    def room(self) -> Iterator[None]:
        """Within, one more request is worked on.

        Raises:
            RequestError: There are too many.
        """
        if self.num_requests >= self.limits.requests:
            raise RequestError(503, "too many requests are under way; try again later.", {"Retry-After": "1"})
        self.num_requests += 1
        try:
            yield
        finally:
            self.num_requests -= 1

    def _length(self, request: Request) -> int | None:
        """Returns the length of the body; None where it comes in chunks."""
        if "transfer-encoding" in request.headers:
            if self._chunked:
                return None
            raise RequestError(411, "chunked bodies are not read; send it with Content-Length.")
        text = request.headers.get("content-length")
        if text is None and not self._chunked and request.method in ("POST", "PUT", "PATCH"):
            raise RequestError(411, "a body needs Content-Length.")
        if not re.fullmatch(r"[0-9]{1,18}", text or "0"):
            raise RequestError(400, "Content-Length is one number.")
        if int(text or 0) > self.max_bytes:
            raise self._too_long(int(text or 0))
        return int(text or 0)

    def _too_long(self, length: int) -> RequestError:
        return RequestError(413, f"at most {self.max_bytes} bytes per request, got {length}.")


async def send_response(
    response: Response, scope: Scope, receive: Receive, send: Send, *, close: bool = False, linger: float = 0.0
) -> None:
    """Sends a response.

    Args:
        scope: That of the request, as are `receive` and `send`.
        close: Whether the connection ends with it.
        linger: Seconds in which what the client still sends is dropped, so that it gets to see the response.
    """
    headers = [(name.encode(), value.encode()) for name, value in response.headers.items()]
    headers.append((b"Content-Length", str(len(response.body)).encode()))
    if close:
        headers.append((b"Connection", b"close"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    waits = any(name == b"expect" for name, _ in scope["headers"])  # such a client has sent nothing yet
    if linger and not waits:
        await send({"type": "http.response.body", "body": response.body, "more_body": True})
        await _drop(receive, linger)
        await send({"type": "http.response.body", "body": b""})
    else:
        await send({"type": "http.response.body", "body": response.body})


def to_the_end(receive: Receive) -> Receive:
    """Returns a `receive` that can be called behind the end of the body, where the one of the server waits."""
    over = False

    async def next_part() -> Message:
        nonlocal over
        if over:
            return {"type": "http.disconnect"}
        message = await receive()
        over = not message.get("more_body", False)
        return message

    return next_part


async def _drop(receive: Receive, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while (await receive()).get("more_body", False):
                pass
    except TimeoutError:
        return


def is_loopback(host: str) -> bool:
    """Whether a host is this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    return re.sub(r":[0-9]*$", "", host).strip("[]").lower()
