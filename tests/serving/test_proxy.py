"""A proxy between clients and a server: what passes, what is refused, what is written down, and how it ends."""

from __future__ import annotations

import base64
import gzip
import json
import logging
import socket
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path

import pytest

from pixprompt.core import ConfigError, PixpromptError
from pixprompt.ledger.summary import read_ledger
from pixprompt.prompt import Committee
from pixprompt.serving import Limits, Request, Response
from pixprompt.serving.messages import MAX_VALUES
from pixprompt.serving.proxy import Proxy, ProxyOptions

from ..images import jpeg, make_prompt, picture
from .clients import LONG, dial, exchange, head_of, statuses, until
from .test_busy_server import NUM, answers_meanwhile, is_open
from .toy import error_of
from .upstream import Upstream, as_json, call, post, proxied, upstream

PROMPT = Committee.of(make_prompt())
FILE = jpeg(picture())
KEY = "sk-abcdefghijklmnop-0123456789"


@pytest.fixture(scope="module")
def behind() -> Iterator[Upstream]:
    with upstream() as server:
        yield server


# What passes ---------------------------------------------------------------------------------------------------------

UNKNOWN: dict[str, tuple[str, bytes, dict[str, str]]] = {
    "text": ("/", b'{"inputs": "I like you"}', {}),
    "no image": ("/", b"hello", {"Content_Type": "image/png"}),
    "no JSON": ("/v2/models/m/infer", b"{", {}),
    "no inputs": ("/v2/models/m/infer", b'{"a":  1}', {}),
    "no image input": ("/v2/models/m/infer", b'{"inputs": [{"name": "a", "datatype": "FP32", "shape": [2]}]}', {}),
    "out of range": (
        "/v2/models/m/infer",
        b'{"inputs": [{"name": "a", "datatype": "FP32", "shape": [1, 1, 1, 3], "data": [0, 0, 2.5]}]}',
        {},
    ),
    "broken image": ("/v1/models/m:predict", b'{"instances": [{"b64": "aGVsbG8="}]}', {}),
    "no messages": ("/v1/chat/completions", b'{"messages": 3}', {}),
    "compressed": ("/", gzip.compress(FILE), {"Content_Encoding": "gzip"}),
    "form": ("/v1/files", b"--x\r\n\r\n--x--", {"Content_Type": "multipart/form-data; boundary=x"}),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_is_not_understood_passes_unchanged_or_is_refused(case: str, behind: Upstream) -> None:
    path, body, headers = UNKNOWN[case]
    with proxied(PROMPT, behind) as proxy:
        reply = post(proxy.port, path, body, **headers)
        assert (reply.status, reply.headers["x-pixprompt-images"]) == (200, "0")
        assert (behind.last.body, behind.last.path) == (body, path)
    with proxied(PROMPT, behind, strict=True) as proxy:
        before = len(behind.requests)
        reply = post(proxy.port, path, body, **headers)
        assert reply.status == 422
        assert "not understood, and so not forwarded" in error_of(reply)
        assert len(behind.requests) == before


def test_remote_images_and_unknown_parts_of_chat_are_refused_when_strict(behind: Upstream) -> None:
    remote = {"type": "image_url", "image_url": {"url": "https://elsewhere/a.png"}}
    with proxied(PROMPT, behind, strict=True) as proxy:
        for part, status in ((remote, 422), ({"type": "input_image"}, 422), ({"type": "text", "text": "a"}, 200)):
            body = json.dumps({"messages": [{"role": "user", "content": [part]}]}).encode()
            assert post(proxy.port, "/v1/chat/completions", body).status == status


def test_requests_without_a_body_pass_with_their_headers_and_query(behind: Upstream) -> None:
    with proxied(PROMPT, behind, path="/base/") as proxy:
        reply = call(proxy.port, "GET", "/v2/models/m?x=%20y", Accept="a/b", X_Own="1", Connection="x-hop", X_Hop="2")
        assert json.loads(reply.body) == {"path": "/base/v2/models/m?x=%20y"}
        headers = behind.last.headers
        assert (headers["accept"], headers["x-own"], headers["host"]) == ("a/b", "1", behind.url.partition("//")[2])
        assert "x-hop" not in headers
        assert json.loads(call(proxy.port, "GET", "/").body) == {"path": "/base"}
        assert call(proxy.port, "HEAD", "/x").status == 501  # what this server says of HEAD


def test_errors_and_headers_of_the_server_behind_pass() -> None:
    answer = as_json({"error": "slow down"}, 429, **{"Retry-After": "7", "X-Request-Id": "r1"})
    with upstream(lambda request: answer) as behind, proxied(PROMPT, behind) as proxy:
        for body in (FILE, b"no image"):
            reply = post(proxy.port, "/", body)
            assert (reply.status, reply.body) == (429, answer.body)
            assert (reply.headers["retry-after"], reply.headers["x-request-id"]) == ("7", "r1")


def test_a_compressed_answer_passes_as_it_came() -> None:
    packed = gzip.compress(b'{"ok": true}')
    with (
        upstream(lambda request: Response(200, packed, {"Content-Encoding": "gzip"})) as behind,
        proxied(PROMPT, behind) as proxy,
    ):
        assert post(proxy.port, "/", b"no image", Accept_Encoding="gzip").body == packed
        assert behind.last.headers["accept-encoding"] == "gzip"
        assert post(proxy.port, "/", FILE, Accept_Encoding="gzip").body == packed
        assert behind.last.headers["accept-encoding"] == "identity"


def test_a_body_in_chunks_is_read(behind: Upstream) -> None:
    with proxied(PROMPT, behind) as proxy, closing(HTTPConnection("127.0.0.1", proxy.port, timeout=LONG)) as client:
        client.request("POST", "/", iter([FILE[:100], FILE[100:]]), {"Content-Type": "image/jpeg"}, encode_chunked=True)
        reply = client.getresponse()
        assert (reply.status, reply.headers["x-pixprompt-images"]) == (200, "1")
        reply.read()


# Streams -------------------------------------------------------------------------------------------------------------


def stream_server(
    parts: list[bytes], go: threading.Event, *, whole: bool = True
) -> tuple[socket.socket, threading.Thread]:
    """Answers one request with server-sent events, the second one when `go` is set."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            with client.makefile("rb") as stream:  # all of it: else its unread rest would cut the answer off
                length = next(int(line[15:]) for line in stream if line.lower().startswith(b"content-length:"))
                while stream.readline().strip():
                    pass
                stream.read(length)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for index, part in enumerate(parts):
                if index:
                    go.wait(LONG)
                client.sendall(b"%x\r\n%s\r\n" % (len(part), part))
            if whole:
                client.sendall(b"0\r\n\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    return listener, thread


def chat() -> bytes:
    url = f"data:image/jpeg;base64,{base64.b64encode(FILE).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}]
    return json.dumps({"stream": True, "messages": [{"role": "user", "content": content}]}).encode()


def test_a_stream_passes_as_it_comes_and_is_written_down_before_it_ends(tmp_path: Path) -> None:
    parts, go = [b"data: 1\n\n", b"data: 2\n\n"], threading.Event()
    listener, thread = stream_server(parts, go)
    behind = Upstream(url=f"http://127.0.0.1:{listener.getsockname()[1]}")
    with listener, proxied(PROMPT, behind, ledger=tmp_path / "l") as proxy:
        with closing(HTTPConnection("127.0.0.1", proxy.port, timeout=LONG)) as client:
            client.request("POST", "/v1/chat/completions", chat())
            reply = client.getresponse()
            assert reply.headers["Content-Type"] == "text/event-stream"
            assert reply.read1() == parts[0]  # while the second one is held back
            assert read_ledger(tmp_path / "l")["in_doubt"]["requests"] == 1
            go.set()
            assert reply.read() == parts[1]
            assert read_ledger(tmp_path / "l")["answered"] == 1
        thread.join()


def test_a_stream_that_breaks_off_breaks_off_for_the_client_too(tmp_path: Path) -> None:
    go = threading.Event()
    go.set()
    listener, thread = stream_server([b"data: 1\n\n"], go, whole=False)
    behind = Upstream(url=f"http://127.0.0.1:{listener.getsockname()[1]}")
    with listener, proxied(PROMPT, behind, ledger=tmp_path / "l") as proxy:
        with closing(HTTPConnection("127.0.0.1", proxy.port, timeout=LONG)) as client:
            client.request("POST", "/v1/chat/completions", chat())
            with pytest.raises(IncompleteRead):
                client.getresponse().read()
        thread.join()
    summary = read_ledger(tmp_path / "l", requests=True)
    assert [(row["outcome"], row["billed"]) for row in summary["list"]] == [("lost", True)]


# What is written down ------------------------------------------------------------------------------------------------


def test_the_ledger_holds_what_was_asked_and_answered_and_no_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def answer(request: Request) -> Response:
        if request.path.startswith("/bad"):
            return as_json({"error": f"the key {KEY} is wrong"}, 401)
        return as_json([{"label": KEY if "echo" in request.path else "cat", "score": 0.75}], **{"X-Request-Id": KEY})

    path = tmp_path / "ledger.sqlite"
    with upstream(answer) as behind, proxied(PROMPT, behind, ledger=path) as proxy:
        for place in ("/good", "/echo", "/bad"):
            reply = post(proxy.port, f"{place}?key={KEY}", FILE, Authorization=f"Bearer {KEY}", X_Api_Key=KEY)
            assert behind.last.headers["authorization"] == f"Bearer {KEY}"
            assert (KEY.encode() in reply.body) == (place != "/good")  # the client gets what was said
        post(proxy.port, "/text", b"no image", Authorization=f"Bearer {KEY}")
    summary = read_ledger(path, requests=True)
    assert (summary["queries"], summary["requests"], summary["answered"], summary["failed"]) == (2, 3, 2, 1)
    assert [row["status"] for row in summary["list"]] == [200, 200, 401]
    assert (summary["endpoints"][0]["url"], summary["endpoints"][0]["protocol"]) == (behind.url, "proxy")
    for file in tmp_path.iterdir():
        assert KEY.encode() not in file.read_bytes()
    assert KEY not in caplog.text


def test_no_server_behind_is_502_and_not_billed(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with Proxy(PROMPT, url, ProxyOptions(ledger=tmp_path / "l")) as proxy:
        reply = post(proxy.port, "/", FILE)
        assert reply.status == 502
        assert "no answer from the server behind" in error_of(reply)
        assert json.loads(call(proxy.port, "GET", "/health").body)["live"]
    summary = read_ledger(tmp_path / "l")
    assert (summary["failed"], summary["not_billed"], summary["queries"]) == (1, 1, 0)


@pytest.mark.parametrize("status", [200, 429])
def test_what_came_is_passed_on_although_the_ledger_breaks(status: int, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"

    def answer(request: Request) -> Response:
        with closing(sqlite3.connect(path)) as other:
            other.execute("DROP TABLE requests")
        return as_json({"status": status}, status)

    with upstream(answer) as behind, proxied(PROMPT, behind, ledger=path) as proxy:
        reply = post(proxy.port, "/", FILE)
        assert (reply.status, json.loads(reply.body)) == (status, {"status": status})
        assert post(proxy.port, "/", FILE).status == 503
    assert len(behind.requests) == 1


def test_a_ledger_in_use_and_a_committee_are_refused(tmp_path: Path, behind: Upstream) -> None:
    twice = Committee((make_prompt(), make_prompt(seed=1)))
    with pytest.raises(ConfigError, match="asks 2 times about each image"):
        Proxy(twice, behind.url)
    (tmp_path / "no").write_text("x" * 999)
    with pytest.raises(PixpromptError, match="is no ledger"):
        Proxy(PROMPT, behind.url, ProxyOptions(ledger=tmp_path / "no"))
    for url in ("ftp://h", "http://user:pass@h", "http://h/?key=1"):
        with pytest.raises(ConfigError):
            Proxy(PROMPT, url)


# Limits --------------------------------------------------------------------------------------------------------------


def test_more_requests_than_there_is_room_for_are_sent_away_while_health_answers() -> None:
    arrived, go = threading.Semaphore(0), threading.Event()

    def slow(request: Request) -> Response:
        arrived.release()
        go.wait(LONG)
        return as_json({})

    limits = Limits(requests=2)
    with upstream(slow) as behind, proxied(PROMPT, behind, limits=limits) as proxy, ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(post, proxy.port, "/", FILE) for _ in range(2)]
        for _ in waiting:
            assert arrived.acquire(timeout=LONG)
        refused = post(proxy.port, "/", FILE)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        for path in ("/health", "/v2/health/live"):
            assert call(proxy.port, "GET", path).status == 200
        assert b"pixprompt_proxy_requests_under_way 2.0" in call(proxy.port, "GET", "/metrics").body
        go.set()
        assert [one.result().status for one in waiting] == [200, 200]


def test_what_is_too_large_is_refused_unread(behind: Upstream) -> None:
    with proxied(PROMPT, behind, max_bytes=1000, limits=Limits(linger=0.05)) as proxy:
        assert post(proxy.port, "/", bytes(1001)).status == 413
        head = head_of("POST /", "Transfer-Encoding: chunked", "Connection: close")
        assert statuses(exchange(proxy.port, head + b"fff\r\n" + bytes(0xFFF) + b"\r\n")) == [413]
        assert statuses(exchange(proxy.port, b"GET http://evil/ HTTP/1.1\r\nHost: localhost\r\n\r\n")) == [400]
        assert call(proxy.port, "GET", "/", Host="evil.example").status == 421


def test_half_open_connections_hold_nobody_up(behind: Upstream) -> None:
    half = head_of("POST /", "Content-Length: 1000000")
    patient = Limits(idle=10 * LONG, body=10 * LONG)
    with proxied(PROMPT, behind, limits=patient) as proxy, ExitStack() as stack:
        clients = [stack.enter_context(dial(proxy.port)) for _ in range(3 * NUM)]
        for number, client in enumerate(clients):
            client.sendall((b"POST /v2/mod", half, half + b'{"inputs": ')[number % 3])
        assert call(proxy.port, "GET", "/health").status == 200
        assert post(proxy.port, "/", FILE).status == 200
        assert all(map(is_open, clients))  # nobody was sent away for it


@pytest.mark.slow
def test_huge_json_holds_nobody_up(behind: Upstream) -> None:
    numbers = b"0.5019608," * (MAX_VALUES // 2)
    body = b'{"inputs": [' + numbers + b"0]}"
    with proxied(PROMPT, behind) as proxy, ThreadPoolExecutor(2) as pool:
        for path in ("/v2/models/m/infer", "/v1/models/m:predict"):
            sending = pool.submit(post, proxy.port, path, body)
            assert answers_meanwhile(sending, lambda: call(proxy.port, "GET", "/health").status) > 5
            assert sending.result().status == 200


def test_metrics_count_requests_images_and_replies(behind: Upstream) -> None:
    with proxied(PROMPT, behind) as proxy:
        post(proxy.port, "/", FILE)
        post(proxy.port, "/", b"no image")
        result = call(proxy.port, "GET", "/metrics")
    assert result.headers["content-type"].startswith("text/plain")
    for line in (
        'pixprompt_proxy_requests_total{form="huggingface",outcome="prompted"} 1.0',
        'pixprompt_proxy_requests_total{form="huggingface",outcome="passed"} 1.0',
        'pixprompt_proxy_images_total{form="huggingface"} 1.0',
        'pixprompt_proxy_replies_total{status="200"} 2.0',
        "pixprompt_proxy_own_seconds_count 1.0",
    ):
        assert line in result.body.decode()


# The end -------------------------------------------------------------------------------------------------------------


def listens(port: int) -> bool:
    try:
        dial(port).close()
    except ConnectionError:
        return False
    return True


def test_the_end_waits_for_requests_under_way(tmp_path: Path) -> None:
    arrived, go = threading.Event(), threading.Event()

    def slow(request: Request) -> Response:
        arrived.set()
        go.wait(LONG)
        return as_json({})

    with upstream(slow) as behind, ThreadPoolExecutor(2) as pool, ExitStack() as stack:
        proxy = stack.enter_context(proxied(PROMPT, behind, ledger=tmp_path / "l"))
        waiting = pool.submit(post, proxy.port, "/", FILE)
        assert arrived.wait(LONG)
        ended = pool.submit(stack.close)
        until(lambda: not listens(proxy.port))
        assert not ended.done()
        go.set()
        ended.result(LONG)
        assert waiting.result(LONG).status == 200
    assert read_ledger(tmp_path / "l")["answered"] == 1


def test_what_outlasts_the_grace_is_cut_and_in_the_ledger(tmp_path: Path) -> None:
    arrived, go = threading.Event(), threading.Event()

    def slow(request: Request) -> Response:
        arrived.set()
        go.wait(LONG)
        return as_json({})

    with upstream(slow) as behind, ThreadPoolExecutor(1) as pool:
        with proxied(PROMPT, behind, ledger=tmp_path / "l", limits=Limits(grace=0.05)) as proxy:
            waiting = pool.submit(post, proxy.port, "/", FILE)
            assert arrived.wait(LONG)
        with pytest.raises(ConnectionError):
            waiting.result(LONG)
        go.set()
    summary = read_ledger(tmp_path / "l", requests=True)
    assert [(row["outcome"], row["failure"]) for row in summary["list"]] == [
        ("lost", "the proxy ended before the answer did")
    ]
