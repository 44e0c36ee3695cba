"""One request to a fault server."""

from __future__ import annotations

import json
from collections.abc import Callable

from pixprompt.remote.http.transport import Transport
from pixprompt.remote.messages import Fault, Incoming, Outgoing

from .events import LONG
from .fault_server import FaultServer, Play
from .toy_endpoint import answer

KEY = "sk-test-0123456789abcdef"
BODY = json.dumps({"images": ["00", "01"]}).encode()


def post(url: str) -> Outgoing:
    return Outgoing(url, BODY, {"Content-Type": "application/json"})


def send(
    transport: Transport, *script: Play, on_pause: Callable[[], None] | None = None
) -> tuple[Incoming | Fault, FaultServer]:
    with FaultServer(answer, script) as server:
        server.on_pause = on_pause or server.on_pause
        try:
            return transport.send(post(server.url), timeout=LONG), server
        except Fault as fault:
            return fault, server
