"""One request to a fault server."""

from __future__ import annotations

import json

from pixprompt.remote.exchange import Fault, Incoming, Outgoing
from pixprompt.remote.transport import Transport

from .fault_server import FaultServer, Play
from .toy_endpoint import answer

KEY = "sk-test-0123456789abcdef"
BODY = json.dumps({"images": ["00", "01"]}).encode()


def post(url: str) -> Outgoing:
    return Outgoing(url, BODY, {"Content-Type": "application/json"})


def send(transport: Transport, *script: Play, timeout: float = 5.0) -> tuple[Incoming | Fault, FaultServer]:
    with FaultServer(answer, script) as server:
        try:
            return transport.send(post(server.url), timeout=timeout), server
        except Fault as fault:
            return fault, server


def test_a_reply_comes_whole(transport: Transport) -> None:
    incoming, server = send(transport)
    assert isinstance(incoming, Incoming)
    assert (incoming.status, incoming.body) == (200, answer(BODY, {})[2])
    assert incoming.headers["content-type"] == "application/json"
    assert 0 < incoming.seconds < 5
    received = server.received[0]
    assert (received.method, received.body, received.headers["authorization"]) == ("POST", BODY, f"Bearer {KEY}")
    assert received.headers["accept-encoding"] == "gzip, deflate"
    assert received.headers["content-type"] == "application/json"
