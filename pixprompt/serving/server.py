"""The sockets of the endpoint: HTTP/1.1 with time limits, size limits and an end that finishes what was begun."""

from __future__ import annotations

import io
import ipaddress
import logging
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from types import TracebackType
from typing import Any

from ..core import ConfigError
from .limits import Limits, TimedReader
from .messages import Request, RequestError, Response
from .service import Service

__all__ = ["Server"]

_log = logging.getLogger(__name__)
_READ = 1 << 16


class Server:
    """Serves a `Service` on a socket, from background threads, while a `with` block runs.

    The model is called by one thread, in the order in which requests are complete; what is known without it is
    answered at once. At the end of the block nothing new is taken, what has come whole is answered, and every
    connection ends.

    Args:
        service: What to serve.
        host: An address of this machine; 127.0.0.1 is not reachable from others.
        port: 0 for any free one.
        limits: On clients.

    Attributes:
        port: That it listens on, inside the block.

    Raises:
        ConfigError: The address cannot be used; when the block begins.
    """

    def __init__(
        self, service: Service, *, host: str = "127.0.0.1", port: int = 0, limits: Limits | None = None
    ) -> None:
        self.service, self.host, self.port = service, host, port
        self._limits = limits or Limits()

    @property
    def url(self) -> str:
        """Where the model is, inside the block."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/v2/models/{self.service.name}"

    def __enter__(self) -> Server:
        try:
            self._sockets = _Sockets(self.service, self.host, self.port, self._limits)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {self.host} port {self.port}: {error.strerror or error}. Port 0 takes a free one."
            ) from error
        self.port = int(self._sockets.server_address[1])
        self._thread = threading.Thread(target=self._sockets.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sockets.end()
        self._thread.join()


class _Sockets(ThreadingMixIn, TCPServer):
    """A thread per connection, one thread for the model, and a list of connections."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, service: Service, host: str, port: int, limits: Limits) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)
        self.service, self.limits = service, limits
        self.ending = False
        self._model_thread = ThreadPoolExecutor(1, "model")
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()

    def answer(self, request: Request) -> Response:
        """Answers now, or in turn if the model is needed."""
        if request.method != "POST":
            return self.service.respond(request)
        return self._model_thread.submit(self.service.respond, request).result()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Notes a connection, unless there are too many."""
        with self._changed:
            if len(self._open) < self.limits.connections:
                self._open.add(request)
                return True
        request.settimeout(0.1)  # the listening thread itself says no, and it must not wait for anybody
        refusal = RequestError(503, "too many connections; try again later.", {"Retry-After": "1"}).response()
        with_length = {**refusal.headers, "Content-Length": str(len(refusal.body)), "Connection": "close"}
        head = "".join(f"{name}: {value}\r\n" for name, value in with_length.items())
        try:
            request.sendall(f"HTTP/1.1 503 Service Unavailable\r\n{head}\r\n".encode() + refusal.body)
        except OSError:
            _log.debug("a connection too many was gone before it was refused")
        return False

    def shutdown_request(self, request: Any) -> None:
        """Ends a connection."""
        super().shutdown_request(request)
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Notes that a client has gone, or a fault of this code; nothing is printed."""
        _log.debug("a connection ended early", exc_info=True)

    def end(self) -> None:
        """Ends the listening, then the connections."""
        self.ending = True
        self.shutdown()
        self.server_close()
        with self._changed:
            for connection in self._open:
                _stop_reading(connection)
            self._changed.wait_for(lambda: not self._open, self.limits.grace)
        self._model_thread.shutdown(wait=False, cancel_futures=True)


class _Handler(BaseHTTPRequestHandler):
    """One connection, request after request."""

    server: _Sockets
    wfile: io.BytesIO
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"  # of lines that cannot be read, so that they get a whole response too
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Puts a clock into the reading, and collects what is written until it is sent in one go."""
        super().setup()
        self._reader = TimedReader(self.connection)
        self.rfile, self.wfile = io.BufferedReader(self._reader, _READ), io.BytesIO()

    def handle_one_request(self) -> None:
        """Waits for one request and answers it."""
        self._reader.allow(self.server.limits.idle)
        super().handle_one_request()
        self.close_connection = self.close_connection or self.server.ending

    def handle_expect_100(self) -> bool:
        """Lets the client send a body only if it will be read."""
        try:
            self._check_host()
            self._length()
        except RequestError as error:
            self._refuse(error)
            return False
        super().handle_expect_100()
        self._send()
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answers what the base class finds wrong."""
        self._refuse(RequestError(int(code), message or "the request cannot be read."))

    def version_string(self) -> str:
        """Returns what the header Server says."""
        return "pixprompt"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""
        _log.debug(format, *args)

    def _respond(self) -> None:
        try:
            request = self._request()
        except RequestError as error:
            self._refuse(error)
        else:
            self._write(self.server.answer(request))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _respond

    def _request(self) -> Request:
        self._check_host()
        length = self._length()
        self._reader.allow(self.server.limits.body + length / self.server.limits.rate)
        try:
            body = self.rfile.read(length)
        except TimeoutError as error:
            raise RequestError(408, f"the body of {length} bytes took too long.") from error
        if len(body) < length:
            raise RequestError(400, f"the body ended after {len(body)} of {length} bytes.")
        return Request(self.command, self.path, {name.lower(): text for name, text in self.headers.items()}, body)

    def _check_host(self) -> None:
        """Refuses what is meant for another name, where this machine alone is served.

        A page in a browser of this machine may come from a name that its owner leads to 127.0.0.1.
        """
        own, host = str(self.server.server_address[0]), self.headers.get("Host", "")
        if host and _is_loopback(own) and not _is_loopback(_without_port(host)):
            raise RequestError(421, f"this server answers as {own} only, got the Host {host[:60]!r}.")

    def _length(self) -> int:
        """Returns the length of the body; nothing of it is read for a length that is refused."""
        if "Transfer-Encoding" in self.headers:
            raise RequestError(411, "chunked bodies are not read; send it with Content-Length.")
        lengths = set(self.headers.get_all("Content-Length", []))
        if not lengths and self.command in ("POST", "PUT", "PATCH"):
            raise RequestError(411, "a body needs Content-Length.")
        text = lengths.pop() if lengths else "0"
        if lengths or not re.fullmatch(r"[0-9]{1,18}", text):
            raise RequestError(400, "Content-Length is one number.")
        if int(text) > self.server.service.max_bytes:
            raise RequestError(413, f"at most {self.server.service.max_bytes} bytes per request, got {int(text)}.")
        return int(text)

    def _refuse(self, error: RequestError) -> None:
        """Answers and ends the connection: where the next request would begin is not known."""
        self.close_connection = True
        self._write(error.response())
        self.connection.shutdown(socket.SHUT_WR)
        self._reader.allow(self.server.limits.linger)
        while self.rfile.read1(_READ):
            pass

    def _write(self, response: Response) -> None:
        self.close_connection = self.close_connection or self.server.ending
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)
        self._send()

    def _send(self) -> None:
        blob, self.wfile = self.wfile.getvalue(), io.BytesIO()
        self.connection.settimeout(self.server.limits.write)
        self.connection.sendall(blob)


def _stop_reading(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RD)
    except OSError:
        _log.debug("a connection had ended already")


def _without_port(host: str) -> str:
    return re.sub(r":[0-9]*$", "", host).strip("[]").lower()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
