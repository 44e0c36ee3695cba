"""URLs in messages, where no password may show."""

from __future__ import annotations

import re

__all__ = ["plain_url"]

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
