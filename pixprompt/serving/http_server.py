"""An application on a socket, served from a background thread, with an end that finishes what was begun."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from ..core import ConfigError
from .connection import Connection
from .limits import Limits

__all__ = ["App", "HttpServer"]


class App(Protocol):
    """An ASGI application that can stop taking requests."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        ...

    def end(self) -> None:
        """Stops taking requests."""
        ...

    async def close(self) -> None:
        """Frees what it holds; every request is over."""
        ...


class HttpServer:
    """Serves an application while a `with` block runs.

    At the end of the block nothing new is taken, what has come whole is answered, and every connection ends.

    Args:
        make_app: Makes the application, in the event loop that serves it.
        host: An address of this machine; 127.0.0.1 is not reachable from others.
        port: 0 for any free one.

    Attributes:
        port: The port that it listens on, inside the block.

    Raises:
        ConfigError: The address cannot be used; when the block begins.
    """

    def __init__(self, make_app: Callable[[], App], *, host: str, port: int, limits: Limits) -> None:
        self.host, self.port = host, port
        self._make_app, self._limits = make_app, limits

    @property
    def origin(self) -> str:
        """Scheme, host and port, inside the block."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    def __enter__(self) -> Self:
        try:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            self._socket = socket.create_server((self.host, self.port), family=family, backlog=1024)
            # Connections inherit it. Without it an answer's last part waits for an acknowledgment, 40 ms as a rule.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {self.host} port {self.port}: {error.strerror or error}. Port 0 takes a free one."
            ) from error
        self.port = int(self._socket.getsockname()[1])
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        app, state, has_changed = self._make_app(), ServerState(), asyncio.Event()
        state.default_headers = [(b"server", b"pixprompt")]
        config = Config(app, log_config=None, log_level="critical", access_log=False, lifespan="off", ws="none")
        listener = await self._loop.create_server(
            lambda: Connection(config, state, self._limits, ending=self._stop.is_set, on_end=has_changed.set),
            sock=self._socket,
            backlog=1024,
        )
        await self._stop.wait()
        await self._stop_listening(listener)
        app.end()
        for connection in list(state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(self._limits.grace):
                while state.connections:
                    has_changed.clear()
                    await has_changed.wait()
                await _all_over(state)
        except TimeoutError:
            for connection in list(state.connections):
                connection.transport.abort()
            for task in list(state.tasks):
                task.cancel()
            await _all_over(state)
        await app.close()

    async def _stop_listening(self, listener: asyncio.Server) -> None:
        """Takes no new connection; those that were accepted a moment ago are made first, so that they can be ended."""
        if sys.platform != "win32":  # where event loops wait in another way
            self._loop.remove_reader(self._socket.fileno())
        for _ in range(3):
            await asyncio.sleep(0)
        listener.close()


async def _all_over(state: ServerState) -> None:
    """Waits for requests whose clients have gone."""
    if state.tasks:
        await asyncio.wait(set(state.tasks))
