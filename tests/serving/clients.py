"""A running server, and bytes on its sockets."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pixprompt.serving import Limits, Server

from .toy import make_service

LONG = 60.0
"""Seconds that nothing takes: where they pass, something hangs."""


@contextmanager
def running(limits: Limits | None = None, **options: Any) -> Iterator[Server]:
    with Server(make_service(**options), limits=limits or Limits(idle=LONG, body=LONG, linger=LONG)) as server:
        yield server


def dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=LONG)


def until(happened: Callable[[], bool]) -> None:
    """Lets other threads go on until something has happened."""
    end = time.monotonic() + LONG
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.001)


def exchange(port: int, content: bytes, *, half_close: bool = False) -> bytes:
    """Sends bytes and reads until the server ends the connection."""
    with dial(port) as client:
        client.sendall(content)
        if half_close:
            client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


def head_of(request: str, *lines: str) -> bytes:
    return "\r\n".join([f"{request} HTTP/1.1", "Host: 127.0.0.1", *lines, "", ""]).encode()


def statuses(answer: bytes) -> list[int]:
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
