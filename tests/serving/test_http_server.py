"""The endpoint on a real socket: clients that behave, clients that do not, and an end that loses nothing."""

from __future__ import annotations

import json
import select
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection, HTTPResponse

import numpy as np
import pytest
import torch

from pixprompt.core import ConfigError
from pixprompt.models import as_model
from pixprompt.serving import Limits, Response, Server

from .clients import LONG, dial, exchange, head_of, running, statuses, until
from .toy import INFER, SIZE, expected, make_pixels, make_service, requests_for, rows_of


def ask(connection: HTTPConnection, form: str = "uint8 raw", num: int = 1, seed: int = 0) -> Response:
    request = requests_for(make_pixels(num, seed))[form]
    connection.request("POST", INFER, request.body, dict(request.headers))
    return received(connection.getresponse())


def ask_once(port: int) -> Response:
    with closing(HTTPConnection("127.0.0.1", port, timeout=LONG)) as connection:
        return ask(connection)


def received(reply: HTTPResponse) -> Response:
    return Response(reply.status, reply.read(), dict(reply.headers.items()))


def test_one_connection_serves_many_requests_with_the_answers_of_the_model() -> None:
    with running() as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=LONG)
        for form in requests_for(make_pixels(1)):
            np.testing.assert_allclose(rows_of(ask(connection, form, 2)), expected(make_pixels(2)), atol=1e-5)
            socket = connection.sock
            assert socket is not None  # http.client drops it as soon as the server says "close"
        connection.request("GET", "/v2/models/tiny")
        assert json.loads(received(connection.getresponse()).body)["name"] == "tiny"
        connection.request("HEAD", "/v2/models/tiny")
        reply = connection.getresponse()
        assert (reply.status, reply.read()) == (200, b"")
        assert int(reply.headers["Content-Length"]) > 0
        connection.request("POST", INFER, b"{}")
        assert received(connection.getresponse()).status == 400
        connection.request("GET", "/v2/health/ready")
        assert received(connection.getresponse()).status == 200
        assert connection.sock is socket
        connection.close()


def test_the_address_is_said_and_ends_with_the_block() -> None:
    with running() as server:
        assert server.url == f"http://127.0.0.1:{server.port}/v2/models/tiny"
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1 port {server.port}"):
            Server(make_service(), port=server.port).__enter__()
    with pytest.raises(ConnectionRefusedError):
        dial(server.port)


def test_concurrent_clients_get_their_own_answers() -> None:
    def client(seed: int) -> list[np.ndarray]:
        with closing(HTTPConnection("127.0.0.1", server.port, timeout=LONG)) as connection:
            return [rows_of(ask(connection, form, 2, seed)) for form in ("uint8 raw", "files raw", "fp32 raw")]

    with running() as server, ThreadPoolExecutor(8) as pool:
        for seed, actual in enumerate(pool.map(client, range(16))):
            for rows in actual:
                np.testing.assert_allclose(rows, expected(make_pixels(2, seed)), atol=1e-5)


def test_the_model_is_asked_by_one_thread_while_health_is_answered() -> None:
    threads: set[int] = set()
    event, go = threading.Event(), threading.Event()

    def slow(images: torch.Tensor) -> torch.Tensor:
        threads.add(threading.get_ident())
        event.set()
        go.wait(LONG)
        return torch.ones(len(images), 3)

    go.set()
    model = as_model(slow, image_size=SIZE, takes="tensor", name="slow")
    threads.clear()
    event.clear()
    go.clear()
    with running(model=model) as server, ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(ask_once, server.port) for _ in range(3)]
        assert event.wait(LONG)
        assert statuses(exchange(server.port, head_of("GET /v2/health/live", "Connection: close"))) == [200]
        assert not any(one.done() for one in waiting)
        go.set()
        assert all(one.result().status == 200 for one in waiting)
    assert len(threads) == 1


def test_pipelined_requests_are_answered_in_order_until_junk_comes() -> None:
    junk = b"\x00\xff JUNK\r\n\r\n"
    with running() as server:
        answer = exchange(server.port, head_of("GET /v2") + head_of("GET /v2/models/no") + junk + head_of("GET /v2"))
        assert statuses(answer) == [200, 404, 400]
        assert answer.count(b'{"error": ') == 2
        assert b"<html" not in answer


LARGE = 10**12
REFUSED: dict[str, tuple[bytes, int]] = {
    "huge": (head_of(f"POST {INFER}", f"Content-Length: {LARGE}") + b"{", 413),
    "no length": (head_of(f"POST {INFER}"), 411),
    "chunked": (head_of(f"POST {INFER}", "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n", 411),
    "both": (head_of(f"POST {INFER}", "Transfer-Encoding: chunked", "Content-Length: 2") + b"{}", 411),
    "two lengths": (head_of(f"POST {INFER}", "Content-Length: 2", "Content-Length: 3") + b"{}", 400),
    "negative": (head_of(f"POST {INFER}", "Content-Length: -1"), 400),
    "signed": (head_of(f"POST {INFER}", "Content-Length: +2") + b"{}", 400),
    "endless number": (head_of(f"POST {INFER}", f"Content-Length: {'9' * 5000}"), 400),
    "expect huge": (head_of(f"POST {INFER}", f"Content-Length: {LARGE}", "Expect: 100-continue"), 413),
    "long line": (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 400),
    "many headers": (head_of("GET /v2", *[f"X-{i}: 1" for i in range(200)]), 431),
    "no version": (b"GET /v2 HTTP/x\r\n\r\n", 400),
    "no host": (b"GET /v2 HTTP/1.1\r\n\r\n", 400),
    "two hosts": (head_of("GET /v2", "Host: localhost"), 400),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 \r\n\r\n", 400),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_request_that_cannot_be_read_is_refused_and_its_connection_ends(case: str) -> None:
    content, status = REFUSED[case]
    with running() as server:
        answer = exchange(server.port, content, half_close=True)
        assert statuses(answer) == [status]
        head, _, body = answer.partition(b"\r\n\r\n")
        assert list(json.loads(body)) == ["error"]
        assert b"Connection: close" in head
        assert statuses(exchange(server.port, head_of("GET /v2", "Connection: close"))) == [200]


def test_a_client_that_sends_too_much_still_reads_why() -> None:
    with (
        running(max_bytes=100_000, limits=Limits(linger=LONG)) as server,
        closing(HTTPConnection("127.0.0.1", server.port, timeout=LONG)) as connection,
    ):
        connection.request("POST", INFER, bytes(8_000_000))
        reply = received(connection.getresponse())
        assert reply.status == 413
        assert b"at most 100000 bytes per request, got 8000000" in reply.body


def test_a_client_that_asks_before_it_sends_is_told_to_go_on() -> None:
    request = requests_for(make_pixels(1))["uint8 flat"]
    with running() as server, dial(server.port) as client:
        head = head_of(f"POST {INFER}", f"Content-Length: {len(request.body)}", "Expect: 100-continue")
        client.sendall(head)
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(request.body)
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")


def test_half_a_body_is_refused_and_half_a_head_is_dropped() -> None:
    body = head_of(f"POST {INFER}", "Content-Length: 100") + b'{"inputs'
    with running() as server:
        answer = exchange(server.port, body, half_close=True)
        assert statuses(answer) == [400]
        assert b"ended after 8 of 100 bytes" in answer
        assert exchange(server.port, b"", half_close=True) == b""


def test_a_slow_client_is_told_so_and_holds_nobody_up() -> None:
    with (
        running(Limits(idle=LONG, body=0.3, linger=LONG)) as server,
        dial(server.port) as silent,
        dial(server.port) as slow,
    ):
        slow.sendall(head_of(f"POST {INFER}", "Content-Length: 100"))
        assert statuses(exchange(server.port, head_of("GET /v2", "Connection: close"))) == [200]
        while not select.select([slow], [], [], 0.1)[0]:  # each byte comes in time, all together do not
            slow.sendall(b" ")
        assert statuses(slow.recv(9999)) == [408]
        assert not select.select([silent], [], [], 0)[0]


def test_a_silent_client_is_dropped() -> None:
    with running(Limits(idle=0.2)) as server, dial(server.port) as silent, dial(server.port) as half:
        with suppress(ConnectionError):  # on a slow machine its time was over before
            half.sendall(b"POST /v2/mod")
            assert half.recv(100) == b""
        assert silent.recv(100) == b""


def test_a_client_that_leaves_early_costs_nothing() -> None:
    request = requests_for(make_pixels(1))["uint8 raw"]
    lines = [f"{name}: {value}" for name, value in request.headers.items()]
    content = head_of(f"POST {INFER}", *lines, f"Content-Length: {len(request.body)}") + request.body
    with running() as server:
        for cut in (10, len(content) - 5, len(content)):
            client = dial(server.port)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # ends with a reset
            client.sendall(content[:cut])
            client.close()
        np.testing.assert_allclose(rows_of(ask_once(server.port)), expected(make_pixels(1)), atol=1e-5)


def test_more_connections_than_the_limit_are_sent_away() -> None:
    with running(Limits(connections=2, idle=LONG)) as server, dial(server.port) as idle, dial(server.port) as left:
        assert statuses(exchange(server.port, b"")) == [503]
        left.close()
        until(lambda: statuses(exchange(server.port, head_of("GET /v2", "Connection: close"))) == [200])
        assert not select.select([idle], [], [], 0)[0]


def test_the_end_answers_what_has_come_whole_and_drops_the_rest() -> None:
    event, go = threading.Event(), threading.Event()

    def slow(seconds: float) -> None:
        event.set()
        go.wait(LONG)

    with ExitStack() as clients, ThreadPoolExecutor(2) as pool, ExitStack() as running_server:
        server = running_server.enter_context(running(delay=1.0, sleep=slow))
        connection = clients.enter_context(closing(HTTPConnection("127.0.0.1", server.port, timeout=LONG)))
        idle, half = (clients.enter_context(dial(server.port)) for _ in range(2))
        half.sendall(head_of(f"POST {INFER}", "Content-Length: 9"))
        go.set()
        assert ask(connection).headers.get("Connection") is None
        event.clear()
        go.clear()
        waiting = pool.submit(ask, connection)
        assert event.wait(LONG)
        ended = pool.submit(running_server.close)
        assert statuses(half.recv(9999)) == [503]
        assert not ended.done()
        go.set()
        ended.result(LONG)
        last = waiting.result(LONG)
        assert rows_of(last).shape == (1, 5)
        assert last.headers["Connection"] == "close"
        assert idle.recv(100) == b""


def asked_for(server: Server, host: str, *lines: str, request: str = "GET /v2/health/ready") -> list[int]:
    content = "\r\n".join([f"{request} HTTP/1.1", f"Host: {host}", "Connection: close", *lines])
    return statuses(exchange(server.port, f"{content}\r\n\r\n".encode()))


def test_on_loopback_only_its_own_names_are_answered() -> None:
    """A page of a stranger may have its name led here, and would then read the answers."""
    with running() as server:
        for host in ("127.0.0.1", f"127.0.0.1:{server.port}", "localhost:1", "LOCALHOST", "[::1]:80", "127.0.0.9"):
            assert asked_for(server, host) == [200], host
        for host in (
            "evil.example",
            f"evil.example:{server.port}",
            "127.0.0.1.evil.example",
            "[::2]",
            "x y",
            "[",
            "10.0.0.1",
        ):
            assert asked_for(server, host) == [421], host
        lines = ("Content-Length: 2", "Expect: 100-continue")
        assert asked_for(server, "evil.example", *lines, request=f"POST {INFER}") == [421]


def test_where_others_may_reach_it_any_name_is_fine() -> None:
    with Server(make_service(), host="0.0.0.0") as server:
        assert asked_for(server, "my-machine.example") == [200]
