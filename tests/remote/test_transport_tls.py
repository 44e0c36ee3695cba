"""TLS: certificates are checked, and the end of the time holds."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from pixprompt.remote.http.transport import Transport
from pixprompt.remote.messages import Fault, FaultKind

from .events import LONG, ManualTimers
from .fault_server import FaultServer
from .one_request import post
from .toy_endpoint import answer


def test_a_server_that_speaks_no_tls_is_unsent(transport: Transport) -> None:
    with FaultServer(answer) as server:
        with pytest.raises(Fault) as error:
            transport.send(post(server.url.replace("http:", "https:")), timeout=0.2)
        assert server.received == []
    assert error.value.kind is FaultKind.UNSENT


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    key = path.with_name("key.pem")
    words = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {key} -out {path} -days 2"
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([openssl, *words.split(), *name], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


def serve_once(listener: socket.socket, certificate: Path, received: list[bytes]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    plain, _ = listener.accept()
    try:
        with context.wrap_socket(plain, server_side=True) as connection:
            received.append(connection.recv(1 << 16))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            connection.recv(1)
    except OSError:
        plain.close()


@pytest.mark.parametrize("trusted", [False, True])
def test_certificates_are_checked(
    transport: Transport, certificate: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    if trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    calls: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve_once, args=(listener, certificate, calls))
        thread.start()
        outgoing = post(f"https://127.0.0.1:{listener.getsockname()[1]}/x")
        if trusted:
            assert transport.send(outgoing, timeout=LONG).body == b"{}"
        else:
            with pytest.raises(Fault, match="certificate") as error:
                transport.send(outgoing, timeout=LONG)
            assert error.value.kind is FaultKind.UNSENT
        transport.close()
        thread.join(LONG)
    assert bool(calls) is trusted  # not a byte, and no key, goes to a stranger


def test_the_end_of_the_time_holds_under_tls_as_well(
    transport: Transport, certificate: Path, timers: ManualTimers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))

    def stall(listener: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        plain, _ = listener.accept()
        try:
            with context.wrap_socket(plain, server_side=True) as connection:
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n ")
                timers.expire()
                connection.recv(1)
        except OSError:
            plain.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=stall, args=(listener,))
        thread.start()
        with pytest.raises(Fault, match="no whole answer within 60 s") as error:
            transport.send(post(f"https://127.0.0.1:{listener.getsockname()[1]}/x"), timeout=LONG)
        thread.join(LONG)
    assert error.value.kind is FaultKind.LOST
