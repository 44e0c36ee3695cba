"""A server that takes down what it gets and answers as it is told: what stands behind a proxy in tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pixprompt.prompt import Committee
from pixprompt.serving import Request, Response
from pixprompt.serving.proxy import Proxy, ProxyOptions

from .clients import LONG


def as_json(value: object, status: int = 200, **headers: str) -> Response:
    return Response(status, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})


@dataclass
class Upstream:
    """What came, and what is answered; `answer` may wait."""

    answer: Callable[[Request], Response] = lambda request: as_json({"path": request.path})
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    @property
    def last(self) -> Request:
        return self.requests[-1]


@contextmanager
def upstream(answer: Callable[[Request], Response] | None = None) -> Iterator[Upstream]:
    """Runs one on loopback."""
    behind = Upstream() if answer is None else Upstream(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            behind.requests.append(request)
            response = behind.answer(request)
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

        do_GET = do_POST = do_PUT = respond

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 256
        daemon_threads = True

        def handle_error(self, *args: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    behind.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield behind
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def proxied(
    prompt: Committee, behind: Upstream, *, path: str = "", ledger: Path | None = None, **options: Any
) -> Iterator[Proxy]:
    with Proxy(prompt, behind.url + path, ProxyOptions(ledger=ledger, **options)) as proxy:
        yield proxy


def post(port: int, path: str, body: bytes, **headers: str) -> Response:
    return call(port, "POST", path, body, **headers)


def call(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> Response:
    with closing(HTTPConnection("127.0.0.1", port, timeout=LONG)) as connection:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        reply = connection.getresponse()
        return Response(reply.status, reply.read(), {name.lower(): value for name, value in reply.headers.items()})
