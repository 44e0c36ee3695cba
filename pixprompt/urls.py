"""URLs: in messages, where no password may show, and whether their hosts answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from urllib.parse import urlsplit

__all__ = ["offline", "plain_url", "reachable"]

_TIMEOUT = 3.0
_OFFLINE = ContextVar("offline", default=False)
_START = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/*|/*")


def plain_url(url: str) -> str:
    """Returns a URL without user-info, query and fragment, for messages; also one that was mistyped.

    Whatever stands before an "@" may be a password, wherever the slashes and question marks are.
    """
    start = _START.match(url)
    scheme = start[0] if start is not None and "/" in start[0] else ""
    rest = url[len(scheme) :]
    if "@" in rest:
        rest = rest.rpartition("@")[2]
    return scheme + re.split(r"[?#]", rest)[0]


@contextmanager
def offline() -> Iterator[None]:
    """Within, in this thread, no host is `reachable`: what is not on this machine is not downloaded."""
    before = _OFFLINE.set(True)
    try:
        yield
    finally:
        _OFFLINE.reset(before)


def reachable(url: str) -> bool:
    """Says whether the host of an address takes connections; behind a proxy only the proxy knows, so True."""
    if _OFFLINE.get():
        return False
    import socket  # here: most commands need no network
    import urllib.request

    parts = urlsplit(url)
    if parts.scheme in urllib.request.getproxies():
        return True
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 443), timeout=_TIMEOUT):
            return True
    except OSError:
        return False
