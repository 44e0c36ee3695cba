"""While clients are slow, silent or send too much, others are answered within a second."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from pixprompt.serving import Limits
from pixprompt.serving.messages import MAX_VALUES

from .clients import dial, exchange, head_of, running, statuses
from .toy import INFER

NUM = 64
HEALTH = head_of("GET /v2/health/live", "Connection: close")


def seconds_of_health(port: int) -> float:
    begun = time.monotonic()
    assert statuses(exchange(port, HEALTH)) == [200]
    return time.monotonic() - begun


def test_half_open_connections_hold_nobody_up() -> None:
    half = head_of(f"POST {INFER}", "Content-Length: 1000000")
    with running(Limits()) as server, ExitStack() as clients:
        for sent in (b"", b"POST /v2/mod", half, half + b'{"inputs": '):
            for _ in range(NUM):
                clients.enter_context(dial(server.port)).sendall(sent)
        assert seconds_of_health(server.port) < 1


@pytest.mark.slow
def test_a_huge_json_holds_nobody_up() -> None:
    numbers = b"0.5019608," * (MAX_VALUES - 10)  # as many as are parsed, then more
    with running() as server, ThreadPoolExecutor(2) as pool:
        for body in (b'{"inputs": [' + numbers + b"0]}", b'{"inputs": [' + 4 * numbers + b"0]}"):
            head = head_of(f"POST {INFER}", f"Content-Length: {len(body)}", "Connection: close")
            sending = pool.submit(exchange, server.port, head + body)
            took = []
            while not sending.done():
                took.append(seconds_of_health(server.port))
            assert statuses(sending.result())[0] in (400, 413)
            assert max(took) < 1
