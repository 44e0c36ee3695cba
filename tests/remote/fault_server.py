"""An HTTP/1.1 server on 127.0.0.1 that fails on command, made of plain sockets.

    with FaultServer(answer, script=[drop(), throttle(1)]) as server:
        ...  # the first request is dropped, the second one throttled, all others get the right answer
    server.received  # what came, what was played, and whether the answer was sent to its end

The plays are in `fault_scripts`. A play takes the place of the right answer for one request. `answer(body, headers) ->
(status, headers, body)` is called for plays that need the right answer only, so what it counts is what was worked out;
`Received.billed` is the same thing for the books. Plays that fail after the request was read are made so that the
client cannot know whether it was billed.
"""

from __future__ import annotations

import hashlib
import select
import socket
import struct
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

Answer = Callable[[bytes, dict[str, str]], tuple[int, Mapping[str, str], bytes]]
Play = Callable[["Exchange"], None]


@dataclass(eq=False)
class Received:
    """A request that was read to its end.

    Attributes:
        digest: SHA-256 of the body, hexadecimal.
        billed: Whether the right answer was worked out for it.
        sent: Whether some answer was sent to its end.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    play: str = ""
    billed: bool = False
    sent: bool = False
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        self.digest = hashlib.sha256(self.body).hexdigest()


class Over(Exception):
    """This connection is finished."""


class Exchange:
    """One request on one connection, as a play sees it."""

    def __init__(self, server: FaultServer, connection: socket.socket, received: Received) -> None:
        self.server, self.connection, self.received = server, connection, received

    def right(self) -> tuple[int, dict[str, str], bytes]:
        """Works the right answer out."""
        self.received.billed = True
        status, headers, body = self.server.answer(self.received.body, self.received.headers)
        return status, dict(headers), body

    def write(self, data: bytes) -> None:
        self.connection.sendall(data)

    def reply(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Sends a whole answer."""
        self.write(head(status, {"Content-Length": str(len(body)), **headers}) + body)
        self.received.sent = True

    def reset(self) -> None:
        """Ends the connection with an RST instead of a FIN."""
        reset(self.connection)
        raise Over

    def pause(self, seconds: float) -> None:
        """Waits, until the server is closed at most."""
        self.server.on_pause()
        if self.server.closing.wait(seconds):
            raise Over


def head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class FaultServer:
    """Plays a script, one play per request in the order of arrival, and then the right answer for ever.

    Args:
        answer: Works out the right answer.
        script: What is played first; None for the right answer.

    Attributes:
        on_pause: Hears when a play begins to keep the client waiting, which is when its time may be over.
    """

    def __init__(self, answer: Answer, script: Iterable[Play | None] = ()) -> None:
        self.answer = answer
        self.script: deque[Play | None] = deque(script)
        self.received: list[Received] = []
        self.num_connections = 0
        self.closing = threading.Event()
        self.on_pause: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> FaultServer:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/model"
        self._start(self._accept)
        return self

    def __exit__(self, *error: object) -> None:
        self.closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(60)  # the one that accepts: no connection comes after it
        self._listener.close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with_shutdown(connection)
        for thread in self._threads:
            thread.join(60)
        alive = [thread for thread in self._threads if thread.is_alive()]
        if alive:
            raise RuntimeError(f"{len(alive)} threads of the fault server do not end")

    @property
    def num_open(self) -> int:
        """Connections that this side has not closed."""
        with self._lock:
            return len(self._open)

    @property
    def counts(self) -> Counter[str]:
        """How often each body came."""
        return Counter(received.digest for received in self.received)

    @property
    def num_billed(self) -> int:
        """Requests for which an answer was worked out."""
        return sum(received.billed for received in self.received)

    def _start(self, target: Callable[..., None], *inputs: object) -> None:
        thread = threading.Thread(target=target, args=inputs, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.num_connections += 1
                self._open.add(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            while not self.closing.is_set():
                self._one(connection)
        except (Over, OSError):
            pass
        finally:
            connection.close()
            with self._lock:
                self._open.discard(connection)

    def _one(self, connection: socket.socket) -> None:
        if not select.select([connection], [], [])[0] or not connection.recv(1, socket.MSG_PEEK):
            raise Over
        with self._lock:
            play = (self.script.popleft() if self.script else None) or right
        if play is refuse:
            reset(connection)
            raise Over
        received = read_request(connection)
        received.play = play.__name__
        with self._lock:
            self.received.append(received)
        play(Exchange(self, connection, received))


def with_shutdown(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # closed already
        return


def read_request(connection: socket.socket) -> Received:
    data = b""
    while b"\r\n\r\n" not in data:
        data += receive(connection)
    start, _, body = data.partition(b"\r\n\r\n")
    first, *lines = start.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += receive(connection)
    method, path, _ = first.split(" ")
    return Received(method, path, headers, body)


def receive(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 16)
    if not data:
        raise Over
    return data


def right(exchange: Exchange) -> None:
    exchange.reply(*exchange.right())


def refuse(exchange: Exchange) -> None:
    """Reset before a byte is read."""
    raise AssertionError("handled where connections are served")
