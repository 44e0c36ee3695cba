"""Forwarding requests of clients, in an event loop: never repeated, never redirected, over connections that stay open.

There is no `httpx2.AsyncClient` here, only its transport: a client keeps cookies, adds headers of its own, and logs
URLs, which may hold keys. Proxies are taken from the environment; certificates are always checked.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from ...core import ConfigError
from ...urls import plain_url
from ..messages import Fault, FaultKind
from .secrets import check_url

__all__ = ["Headers", "StreamedReply", "Upstream"]

Headers = Sequence[tuple[str, str]]
_CONNECT_SECONDS = 10.0
_IDLE_SECONDS = 15.0
_HOP_BY_HOP = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding"),
    *("upgrade", "expect", "proxy-connection"),
}
"""Headers about one connection, and not about what travels over it (RFC 9110, 7.6.1)."""
_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)


class Upstream:
    """Sends requests to one origin.

    Args:
        url: Scheme, host, and a path that goes before those of the requests.
        connections: Idle connections that are kept open.
        timeout: Seconds for each read and write.

    Attributes:
        url: As given, without a slash at its end.

    Raises:
        ConfigError: The URL is none of HTTP, or holds a credential.
    """

    def __init__(self, url: str, *, connections: int = 64, timeout: float = 120.0) -> None:
        check_url(url)
        logging.getLogger("httpcore2").setLevel(logging.INFO)  # its lines for debugging hold headers
        parts = urlsplit(url)
        if parts.query or parts.fragment:
            raise ConfigError(f"expected a URL without query, to which paths are added, got {plain_url(url)}?...")
        self.url = url.rstrip("/")
        self._base = httpx2.URL(self.url)
        limits = httpx2.Limits(
            max_connections=None, max_keepalive_connections=connections, keepalive_expiry=_IDLE_SECONDS
        )
        # Reading the certificates takes a while, and http needs none.
        verify = True if parts.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        proxy = _proxy(parts.scheme, parts.netloc)
        self._transport = httpx2.AsyncHTTPTransport(verify=verify, limits=limits, proxy=proxy)
        self._timeout = httpx2.Timeout(timeout, connect=_CONNECT_SECONDS).as_dict()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._transport.aclose()

    async def send(self, method: str, path: str, headers: Headers, body: bytes) -> StreamedReply:
        """Sends a request once and waits for the headers of its reply.

        Args:
            path: With its query, percent-encoded; it begins with a slash.
            headers: Those about a connection, Host and Content-Length are left out.
            body: The whole body.

        Raises:
            Fault: UNSENT or LOST.
        """
        base = self._base.raw_path.rstrip(b"/")
        raw = base + (b"" if path == "/" and base else path.encode("ascii"))
        sent_headers = [
            (name, value) for name, value in _end_to_end(headers) if name.lower() not in ("host", "content-length")
        ]
        request = httpx2.Request(
            method,
            self._base.copy_with(raw_path=raw),
            headers=sent_headers,
            content=body if body or method in ("POST", "PUT", "PATCH") else None,
            extensions={"timeout": self._timeout},
        )
        start = time.perf_counter()
        try:
            response = await self._transport.handle_async_request(request)
        except httpx2.TransportError as error:
            raise self._fault(error) from None
        response.request = request
        return StreamedReply(response, start, self._fault)

    def _fault(self, error: Exception) -> Fault:
        kind = FaultKind.UNSENT if isinstance(error, _UNSENT) else FaultKind.LOST
        return Fault(kind, f"{plain_url(self.url)}: {type(error).__name__}")  # its text may hold what was sent


class StreamedReply:
    """A reply whose body is still on its way.

    Args:
        response: From the transport.
        start: When the request was sent, by `time.perf_counter`.
        fault: Makes the fault of a broken connection.
    """

    def __init__(self, response: httpx2.Response, start: float, fault: Callable[[Exception], Fault]) -> None:
        self._response, self._start, self._fault = response, start, fault
        self.status = response.status_code
        self.headers = list(_end_to_end(response.headers.multi_items()))

    @property
    def seconds(self) -> float:
        """Since the request was sent."""
        return time.perf_counter() - self._start

    def header(self, name: str) -> str:
        """Returns the value of a header; empty where there is none."""
        return str(self._response.headers.get(name, ""))

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yields the body as it comes, compressed as it came.

        Raises:
            Fault: LOST, the connection broke.
        """
        try:
            async for chunk in self._response.aiter_raw():
                yield chunk
        except httpx2.TransportError as error:
            raise self._fault(error) from None

    async def close(self) -> None:
        """Gives the connection back, or ends it where the body is not read."""
        await self._response.aclose()


def _end_to_end(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    headers = list(headers)
    named = {
        token.strip().lower() for name, value in headers if name.lower() == "connection" for token in value.split(",")
    }
    return [(name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP | named]


def _proxy(scheme: str, host: str) -> str | None:
    return None if proxy_bypass(host) else getproxies().get(scheme)
