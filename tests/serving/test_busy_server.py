"""While clients are slow, silent or send too much, others are answered."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from pixprompt.serving import Limits
from pixprompt.serving.messages import MAX_VALUES

from .clients import LONG, dial, exchange, head_of, running, statuses
from .toy import INFER

NUM = 64
HEALTH = head_of("GET /v2/health/live", "Connection: close")


def answers_meanwhile(task: Future[Any], ask: Callable[[], int]) -> int:
    """How many questions are answered with 200 before a task is done."""
    count = 0
    while not task.done():
        assert ask() == 200
        count += not task.done()
    return count


def is_open(client: socket.socket) -> bool:
    return not select.select([client], [], [], 0)[0]


def test_half_open_connections_hold_nobody_up() -> None:
    half = head_of(f"POST {INFER}", "Content-Length: 1000000")
    patient = Limits(idle=10 * LONG, body=10 * LONG)
    with running(patient) as server, ExitStack() as stack:
        clients = [stack.enter_context(dial(server.port)) for _ in range(4 * NUM)]
        for number, client in enumerate(clients):
            client.sendall((b"", b"POST /v2/mod", half, half + b'{"inputs": ')[number % 4])
        assert statuses(exchange(server.port, HEALTH)) == [200]
        assert all(map(is_open, clients))  # nobody was sent away for it


@pytest.mark.slow
def test_a_huge_json_holds_nobody_up() -> None:
    numbers = b"0.5019608," * (MAX_VALUES - 10)  # as many as are parsed, then more
    with running() as server, ThreadPoolExecutor(2) as pool:
        for body in (b'{"inputs": [' + numbers + b"0]}", b'{"inputs": [' + 4 * numbers + b"0]}"):
            head = head_of(f"POST {INFER}", f"Content-Length: {len(body)}", "Connection: close")
            sending = pool.submit(exchange, server.port, head + body)
            assert answers_meanwhile(sending, lambda: statuses(exchange(server.port, HEALTH))[0]) > 5
            assert statuses(sending.result())[0] in (400, 413)
