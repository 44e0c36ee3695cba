"""What the fault server can play instead of the right answer: each play is a function of an exchange."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from email.utils import formatdate
from time import time
from typing import Any

from .fault_server import Exchange, Over, Play, head


def named(name: str, play: Play) -> Play:
    play.__name__ = name
    return play


def drop() -> Play:
    """Billed and lost: read, worked out, reset."""

    def play(exchange: Exchange) -> None:
        exchange.right()
        exchange.reset()

    return named("drop", play)


def hang_up() -> Play:
    """Billed and lost, with a polite end of the connection."""

    def play(exchange: Exchange) -> None:
        exchange.right()
        raise Over

    return named("hang_up", play)


def status(code: int, body: bytes = b'{"error": "scripted"}', **headers: str) -> Play:
    """A status of one's choice; `retry_after="3"` becomes the header retry-after."""
    options = {name.replace("_", "-"): value for name, value in headers.items()}

    def play(exchange: Exchange) -> None:
        exchange.reply(code, {"Content-Type": "application/json", **options}, body)

    return named(f"status {code}", play)


def throttle(seconds: float | None = None, *, as_date: bool = False) -> Play:
    if seconds is None:
        return status(429)
    return status(429, retry_after=formatdate(time() + seconds, usegmt=True) if as_date else f"{seconds:g}")


def truncated(share: float = 0.5) -> Play:
    """A body that ends before its Content-Length says so."""

    def play(exchange: Exchange) -> None:
        code, headers, body = exchange.right()
        start = head(code, {"Content-Length": str(len(body)), **headers})
        exchange.write(start + body[: int(len(body) * share)])
        raise Over

    return named("truncated", play)


def drip(pause: float, *, headers_too: bool = False) -> Play:
    """The right answer, byte by byte."""

    def play(exchange: Exchange) -> None:
        code, headers, body = exchange.right()
        start = head(code, {"Content-Length": str(len(body)), **headers})
        if not headers_too:
            exchange.write(start)
        for byte in start * headers_too + body:
            exchange.write(bytes([byte]))
            exchange.pause(pause)
        exchange.received.sent = True

    return named("drip", play)


def hang(seconds: float = 3600.0) -> Play:
    """Silence after the request was read."""

    def play(exchange: Exchange) -> None:
        exchange.right()
        exchange.pause(seconds)
        raise Over

    return named("hang", play)


def changed(change: Callable[[bytes], bytes], name: str = "changed", **more: str) -> Play:
    """The right answer with another body, and more headers."""
    options = {header.replace("_", "-"): value for header, value in more.items()}

    def play(exchange: Exchange) -> None:
        code, headers, body = exchange.right()
        exchange.reply(code, {**headers, **options}, change(body))

    return named(name, play)


def edited(change: Callable[[Any], Any], name: str = "edited") -> Play:
    """The right answer with another JSON value; NaN and Infinity are written as Python writes them."""
    return changed(lambda body: json.dumps(change(json.loads(body))).encode(), name)


def gzipped() -> Play:
    return changed(gzip.compress, "gzipped", content_encoding="gzip")


def bomb(size: int) -> Play:
    """A short body that becomes `size` bytes."""
    body = gzip.compress(b" " * size, 9)
    return changed(lambda _: body, "bomb", content_encoding="gzip")


def large(size: int) -> Play:
    return changed(lambda _: b" " * size, "large")


def closing() -> Play:
    """The right answer, and then the end of a connection that was promised to stay open."""

    def play(exchange: Exchange) -> None:
        exchange.reply(*exchange.right())
        raise Over

    return named("closing", play)


def redirect(location: str, code: int = 307) -> Play:
    return status(code, b"", location=location)
