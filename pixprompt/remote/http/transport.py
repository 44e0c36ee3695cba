"""One HTTP request and its reply: never repeated, never endless, never with a credential where none belongs.

There is no `requests.Session` here: a session is not promised to be safe in several threads, and what it adds is what
must not happen: cookies, redirects, and credentials from a .netrc file. Its adapter finds the pool of connections for a
URL, once; each request then goes to the pool itself. Proxies are taken from the environment (HTTPS_PROXY, HTTP_PROXY,
NO_PROXY), and so is a bundle of certificates (REQUESTS_CA_BUNDLE); certificates are always checked.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy
from urllib3.exceptions import DecodeError, HTTPError, TimeoutError as TimedOut
from urllib3.util import Timeout

from ...core import ConfigError
from ...urls import plain_url
from ..messages import Fault, FaultKind, Incoming, Outgoing
from .deadline import POOLS, Deadline
from .secrets import Secrets, check_url

__all__ = ["Transport"]

_LOG = logging.getLogger(__name__)
_OWN = {"User-Agent": "pixprompt", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}
_CHUNK = 1 << 16
_LONGEST_ERROR = 1 << 16
_ENCODINGS = ("", "identity", "gzip", "x-gzip", "deflate")
_REDIRECTS = (301, 302, 303, 307, 308)
_SAME_METHOD = (307, 308)
_MOST_REDIRECTS = 3
_DROPPED = ("set-cookie", "location")
"""Headers of replies that may hold credentials and are of no use later."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Transport:
    """Sends requests to one endpoint; for any number of threads.

    Args:
        headers: Sent with each request; `${NAME}` stands for a variable of the environment.
        concurrency: Number of connections that are kept open.
        connect_seconds: The most that making a connection takes.
        max_bytes: The longest reply, decompressed.
        environment: Where variables of headers are looked up; None for that of the process.

    Attributes:
        secrets: The headers, and what must not be written anywhere.

    Raises:
        ConfigError: A credential stands in a header itself.
    """

    def __init__(
        self,
        headers: Mapping[str, str] | None = None,
        *,
        concurrency: int = 1,
        connect_seconds: float = 10.0,
        max_bytes: int = 16 << 20,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.secrets = Secrets(headers or {}, environment)
        self._connect_seconds, self._max_bytes = connect_seconds, max_bytes
        self._adapter: Any = HTTPAdapter(max_retries=0, pool_maxsize=concurrency)
        self._adapter.poolmanager.pool_classes_by_scheme = POOLS
        self._warned = False
        self._routes: dict[str, tuple[Any, str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._adapter.close()

    def send(self, outgoing: Outgoing, *, timeout: float) -> Incoming:
        """Sends a request once.

        A redirect is followed to the same scheme, host and port only, and for anything but a GET only where the method
        stays the same.

        Args:
            outgoing: The request; one with a body has a Content-Type.
            timeout: Seconds for all of it, from the connection to the last byte. Looking up the name cannot be cut
                short and may take longer; nothing is sent then.

        Returns:
            The reply, of whatever status, without any credential; of an error the first 64 KiB.

        Raises:
            ConfigError: The URL or a header cannot be sent; nothing was.
            Fault: UNSENT, LOST, GARBLED (too long, or compressed in a way that was not asked for) or REFUSED (a
                redirect that is not followed).
        """
        if outgoing.url not in self._routes:
            check_url(outgoing.url)
            self._warn(outgoing.url)
        headers = _merged(_OWN, outgoing.headers, self.secrets.fill())
        if outgoing.body and not any(name.lower() == "content-type" for name in headers):
            raise ConfigError("a request with a body needs a Content-Type: servers take bytes for a form without one.")
        end, url = time.monotonic() + timeout, outgoing.url
        for _ in range(_MOST_REDIRECTS + 1):
            incoming = self._once(url, outgoing, headers, end - time.monotonic())
            target = self._target(url, outgoing.method, incoming)
            if target is None:
                return self._without_credentials(incoming)
            url = target
        raise Fault(
            FaultKind.REFUSED,
            f"{plain_url(url)} redirects again and again",
            incoming=self._without_credentials(incoming),
        )

    def _once(self, url: str, outgoing: Outgoing, headers: Mapping[str, str], seconds: float) -> Incoming:
        seconds = max(seconds, 0.001)
        limits = Timeout(connect=min(self._connect_seconds, seconds), read=seconds)
        with Deadline(seconds) as deadline:
            try:
                pool, target = self._route(url)
                reply = pool.urlopen(
                    outgoing.method,
                    target,
                    body=outgoing.body or None,
                    headers=headers,
                    retries=False,
                    redirect=False,
                    assert_same_host=False,
                    timeout=limits,
                    preload_content=False,
                    decode_content=False,
                )
                return self._read(reply, deadline)
            except (requests.RequestException, HTTPError, OSError) as error:
                # Without the chain: some exceptions carry the request, and with it the credentials.
                raise self._fault(url, deadline, error, seconds) from None

    def _route(self, url: str) -> tuple[Any, str]:
        """Returns the pool of connections for a URL, and what stands in the first line of a request to it."""
        if url not in self._routes:
            request, proxies = requests.Request("GET", url).prepare(), self._proxies(url)
            bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
            pool = self._adapter.get_connection_with_tls_context(request, bundle, proxies=proxies)
            self._adapter.cert_verify(pool, request.url, bundle, None)
            self._routes[url] = pool, self._adapter.request_url(request, proxies)
        return self._routes[url]

    def _read(self, raw: Any, deadline: Deadline) -> Incoming:
        status = int(raw.status)
        headers = {str(name).lower(): str(value) for name, value in raw.headers.items()}
        fine = 200 <= status < 300
        whole = False
        try:
            if headers.get("content-encoding", "").strip().lower() not in _ENCODINGS and fine:
                coding = headers["content-encoding"]
                raise self._garbled(f"the reply is encoded as {coding!r}, which was not asked for", status, headers)
            body, whole = _collect(raw, self._max_bytes if fine else _LONGEST_ERROR, keep_partial=not fine)
        finally:
            if not whole:
                raw.close()
            raw.release_conn()
        if deadline.cut and fine and not _has_known_length(headers):
            raise TimeoutError
        if fine and not whole:
            raise self._garbled(f"the reply is longer than {self._max_bytes} bytes", status, headers)
        incoming = Incoming(status, headers, body, time.monotonic() - (deadline.started or 0.0))
        cleaned = self.secrets.clean(incoming)
        if whole or not self.secrets.longest:
            return cleaned
        # Where the text was cut, the beginning of a credential may stand.
        return Incoming(status, cleaned.headers, cleaned.body[: -self.secrets.longest], incoming.seconds)

    def _garbled(self, reason: str, status: int, headers: dict[str, str]) -> Fault:
        incoming = self._without_credentials(self.secrets.clean(Incoming(status, headers, b"")))
        return Fault(FaultKind.GARBLED, self.secrets.redact(reason), incoming=incoming)

    def _fault(self, url: str, deadline: Deadline, error: Exception, seconds: float) -> Fault:
        if isinstance(error, DecodeError):
            kind, reason = FaultKind.GARBLED, "the reply cannot be decompressed"
        elif deadline.started is None:
            kind, reason = FaultKind.UNSENT, f"no connection: {_innermost(error)}"
        elif deadline.cut or isinstance(error, TimedOut):
            kind, reason = FaultKind.LOST, f"no whole answer within {seconds:.3g} s"
        else:
            kind, reason = FaultKind.LOST, f"the connection broke after the request was sent: {_innermost(error)}"
        return Fault(kind, self.secrets.redact(f"{plain_url(url)}: {reason}"))

    def _target(self, url: str, method: str, incoming: Incoming) -> str | None:
        """Where a redirect leads; None where there is none."""
        location = incoming.headers.get("location")
        if incoming.status not in _REDIRECTS or not location:
            return None
        target = urljoin(url, location)
        if _origin(target) == _origin(url) and (method == "GET" or incoming.status in _SAME_METHOD):
            try:
                check_url(target)
            except ConfigError as error:
                raise Fault(
                    FaultKind.REFUSED, f"redirected: {error}", incoming=self._without_credentials(incoming)
                ) from None
            return target
        parts = urlsplit(target)
        place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        raise Fault(
            FaultKind.REFUSED,
            self.secrets.redact(
                f"HTTP {incoming.status}: {method} redirected to {place}, which is not followed; only another path of "
                "the same endpoint is, by the same method. If that is the right place, give its URL."
            ),
            incoming=self._without_credentials(incoming),
        )

    def _without_credentials(self, incoming: Incoming) -> Incoming:
        headers = {name: value for name, value in incoming.headers.items() if name not in _DROPPED}
        return Incoming(incoming.status, headers, incoming.body, incoming.seconds)

    def _proxies(self, url: str) -> dict[str, str]:
        proxy = select_proxy(url, get_environ_proxies(url, no_proxy=None))
        if not proxy:
            return {}
        if proxy.lower().startswith("socks"):
            raise ConfigError("a SOCKS proxy is set in the environment; only HTTP proxies can be used. Unset it.")
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        self._adapter.proxy_manager_for(proxy).pool_classes_by_scheme = POOLS
        return {urlsplit(url).scheme: proxy}

    def _warn(self, url: str) -> None:
        parts = urlsplit(url)
        if self.secrets.holds_any and parts.scheme == "http" and parts.hostname not in _LOOPBACK and not self._warned:
            self._warned = True
            _LOG.warning("credentials go to %s unencrypted; use https where it can be had.", parts.hostname)


def _merged(*parts: Mapping[str, str]) -> dict[str, str]:
    """Returns headers of which the later ones win over those of the same name, in any case."""
    names = {name.lower(): (name, value) for part in parts for name, value in part.items()}
    return dict(names.values())


def _collect(raw: Any, limit: int, keep_partial: bool) -> tuple[bytes, bool]:
    """Reads a body up to a limit, decompressed as it comes; says whether that was all of it."""
    chunks, size = [], 0
    try:
        for chunk in raw.stream(_CHUNK, decode_content=True):
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                return b"".join(chunks)[:limit], False
    except (HTTPError, OSError):
        if not keep_partial:
            raise
        return b"".join(chunks), False  # the status says enough
    return b"".join(chunks), True


def _has_known_length(headers: Mapping[str, str]) -> bool:
    """Whether a body that was cut is known to be: without this, it ends where the connection does."""
    return "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    return parts.scheme, parts.hostname or "", port or {"http": 80, "https": 443}.get(parts.scheme, 0)


def _innermost(error: BaseException) -> str:
    """The cause at the bottom of what requests and urllib3 wrap around each other."""
    for _ in range(10):
        inner = [getattr(error, "reason", None), *error.args, error.__cause__, error.__context__]
        wrapped = next((item for item in inner if isinstance(item, Exception)), None)
        if wrapped is None:
            break
        error = wrapped
    return f"{type(error).__name__}: {error}"[:200]
