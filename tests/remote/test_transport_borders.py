"""What a transport must not take along or give away: redirects, cookies, .netrc, proxies, credentials."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixprompt.core import ConfigError
from pixprompt.remote.http.deadline import Deadline
from pixprompt.remote.http.transport import Transport
from pixprompt.remote.messages import Fault, FaultKind, Outgoing

from . import fault_scripts as plays
from .events import LONG, ManualTimers
from .fault_server import FaultServer
from .one_request import BODY, KEY, post, send
from .toy_endpoint import answer


def test_redirects_are_followed_at_home_only(transport: Transport) -> None:
    with FaultServer(answer) as other, FaultServer(answer) as server:
        server.script.extend([plays.redirect("/elsewhere?x=1"), None])
        assert transport.send(post(server.url), timeout=LONG).status == 200
        assert [(received.path, received.body) for received in server.received] == [
            ("/model", BODY),
            ("/elsewhere?x=1", BODY),
        ]
        far = f"http://127.0.0.1:{other.port}"
        for play, words in (
            (plays.redirect(f"{far}/secret/path?token=1"), f"redirected to {far}, which is not followed"),
            (plays.redirect("/elsewhere", 303), "not followed"),  # would become a GET
            (plays.redirect("/elsewhere?api_key=1"), "api_key"),
            (plays.redirect(server.url.replace("127.0.0.1", "localhost")), "redirected to http://localhost"),
        ):
            server.script.append(play)
            with pytest.raises(Fault, match=words) as error:
                transport.send(post(server.url), timeout=LONG)
            assert error.value.kind is FaultKind.REFUSED
            assert "secret/path" not in error.value.reason
        assert other.num_connections == 0
        server.script.extend([plays.redirect("/again")] * 4)
        with pytest.raises(Fault, match="again and again"):
            transport.send(post(server.url), timeout=LONG)
        server.script.extend([plays.redirect("/there", 302), plays.status(200, b"{}")])
        assert transport.send(Outgoing(server.url, method="GET"), timeout=LONG).body == b"{}"
        assert server.num_billed == 1


def test_a_netrc_adds_nothing(transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with FaultServer(answer) as server, Transport() as bare:
        bare.send(post(server.url), timeout=LONG)
        assert "authorization" not in server.received[0].headers
    monkeypatch.setitem(os.environ, "NETRC", str(netrc))
    _, server = send(transport)
    assert server.received[0].headers["authorization"] == f"Bearer {KEY}"


def test_cookies_are_not_kept(transport: Transport) -> None:
    with FaultServer(answer, [plays.changed(lambda body: body, set_cookie="a=b")]) as server:
        for _ in range(2):
            transport.send(post(server.url), timeout=LONG)
        assert "cookie" not in server.received[1].headers


def test_a_proxy_of_the_environment_is_used_and_its_password_not_shown(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultServer(answer) as proxy:
        monkeypatch.setenv("http_proxy", f"me:pass-word@127.0.0.1:{proxy.port}")
        assert transport.send(post("http://far.invalid/x"), timeout=LONG).status == 200
        assert proxy.received[0].path == "http://far.invalid/x"
        proxy.script.append(plays.drop())
        with pytest.raises(Fault) as error:
            transport.send(post("http://far.invalid/x"), timeout=LONG)
        assert error.value.kind is FaultKind.LOST
    with pytest.raises(Fault) as error:
        transport.send(post("http://far.invalid/x"), timeout=LONG)
    assert error.value.kind is FaultKind.UNSENT
    assert "pass-word" not in error.value.reason
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
    with Transport() as another, pytest.raises(ConfigError, match="SOCKS"):  # the environment is read once
        another.send(post("http://far.invalid/x"), timeout=LONG)


def test_what_cannot_be_sent_is_said_before_anything_is(transport: Transport) -> None:
    with FaultServer(answer) as server:
        with pytest.raises(ConfigError, match="Content-Type"):
            transport.send(Outgoing(server.url, BODY), timeout=LONG)
        with pytest.raises(ConfigError, match="URLs end up in logs"):
            transport.send(post(server.url + "?api_key=abc"), timeout=LONG)
        with Transport({"X-Key": "${NONE}"}, environment={}) as bare, pytest.raises(ConfigError, match="variable NONE"):
            bare.send(post(server.url), timeout=LONG)
        assert server.num_connections == 0


def test_credentials_over_plain_http_are_warned_about_once(caplog: pytest.LogCaptureFixture) -> None:
    with Transport({"X-Key": "${KEY}"}, environment={"KEY": KEY}) as transport:
        for _ in range(2):
            with pytest.raises(Fault):
                transport.send(post("http://no.such.host.invalid/"), timeout=LONG)
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage() for record in warnings] == [
        "credentials go to no.such.host.invalid unencrypted; use https where it can be had."
    ]
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    "words", [b"HTTP/1.1 403 Forbidden\r\n\r\n", b"HTTP/1.1 407 Proxy\r\n\r\n", b""], ids=["403", "407", "hangs"]
)
def test_a_proxy_that_makes_no_tunnel_is_unsent(
    transport: Transport, timers: ManualTimers, monkeypatch: pytest.MonkeyPatch, words: bytes
) -> None:
    calls: list[bytes] = []

    def refuse_tunnel(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            calls.append(connection.recv(1 << 16))
            connection.sendall(words)
            if not words:
                timers.expire()
                connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse_tunnel, args=(listener,))
        thread.start()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listener.getsockname()[1]}")
        start = time.monotonic()
        with pytest.raises(Fault) as error:
            transport.send(post("https://far.invalid/x"), timeout=LONG)
        thread.join(LONG)
    assert calls[0].startswith(b"CONNECT far.invalid:443")
    assert KEY.encode() not in calls[0]
    assert error.value.kind is FaultKind.UNSENT
    assert not error.value.billed
    assert time.monotonic() - start < LONG / 2


class Ended:
    """A reply whose time is over when its last byte has been read."""

    status = 200

    def __init__(self, deadline: Deadline, headers: dict[str, str]) -> None:
        self.deadline, self.headers = deadline, headers

    def stream(self, size: int, *, decode_content: bool) -> Iterator[bytes]:
        yield b"{}"
        self.deadline.cut = True

    def close(self) -> None:
        pass

    release_conn = close


@pytest.mark.parametrize("headers", [{"Content-Length": "2"}, {"Transfer-Encoding": "chunked"}])
def test_a_reply_that_says_its_end_is_whole_though_the_time_is_over_then(
    transport: Transport, headers: dict[str, str]
) -> None:
    deadline = Deadline(60.0)
    assert transport._read(Ended(deadline, headers), deadline).body == b"{}"


def test_a_reply_that_ends_with_the_connection_may_have_been_cut(transport: Transport) -> None:
    deadline = Deadline(60.0)
    with pytest.raises(TimeoutError):
        transport._read(Ended(deadline, {}), deadline)
