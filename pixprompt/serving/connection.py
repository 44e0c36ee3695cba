"""One connection of a client: HTTP/1.1 as uvicorn reads it, with time limits and refusals in JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from .limits import Limits
from .messages import RequestError

__all__ = ["Connection"]


class Connection(H11Protocol):
    """What uvicorn lacks: a limit for headers that drip, one for clients that do not read, and half-closed clients.

    Args:
        state: Shared by all connections.
        ending: Whether the server takes nothing new.
        on_end: Called when the connection is gone.
    """

    def __init__(
        self,
        config: Config,
        state: ServerState,
        limits: Limits,
        *,
        ending: Callable[[], bool],
        on_end: Callable[[], None],
    ) -> None:
        super().__init__(config, state, {})
        self._ending = ending
        self.timeout_keep_alive = limits.idle  # type: ignore[assignment]  # uvicorn's own are whole seconds
        self._limits, self._on_end = limits, on_end
        self._refused = False
        self._writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock, or sends one client too many away."""
        super().connection_made(transport)
        if self._ending():  # it was accepted in the last moment
            transport.abort()
        elif len(self.connections) > self._limits.connections:
            self._refuse(RequestError(503, "too many connections; try again later.", {"Retry-After": "1"}))
        else:
            self.timeout_keep_alive_task = self.loop.call_later(self._limits.idle, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clocks."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._stop_writing_clock()
        self._on_end()

    def data_received(self, data: bytes) -> None:
        """Reads on; the clock of the headers runs until they are whole."""
        if self._refused:
            return
        self.conn.receive_data(data)
        try:
            self.handle_events()
        except (h11.LocalProtocolError, ValueError):  # junk behind an answer that has begun; a number without end
            self._refuse(RequestError(400, "the request cannot be read."))

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answers what came whole from a client that has ended its side."""
        cycle = self.cycle
        if self._refused or cycle is None or cycle.response_complete:
            return False
        cycle.keep_alive = False
        if cycle.more_body and any(name == b"content-length" for name, _ in self.headers):
            cycle.more_body = False  # whoever reads the body sees that it is short of its length
            cycle.message_event.set()
        return not cycle.more_body

    def send_400_response(self, msg: str) -> None:
        """Refuses what cannot be read; where the next request would begin is not known."""
        self._refuse(RequestError(400, "the request cannot be read as HTTP/1.1."))

    def timeout_keep_alive_handler(self) -> None:
        """Ends the connection of a silent client, at once where it does not read either."""
        super().timeout_keep_alive_handler()
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def pause_writing(self) -> None:
        """Gives a client that does not read some time."""
        super().pause_writing()
        self._writing = self.loop.call_later(self._limits.write, self.transport.abort)

    def resume_writing(self) -> None:
        """Goes on with a client that reads."""
        super().resume_writing()
        self._stop_writing_clock()

    def _stop_writing_clock(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def _refuse(self, error: RequestError) -> None:
        self._refused = True
        self._unset_keepalive_if_required()
        response = error.response()
        headers: Any = [*self.server_state.default_headers, (b"Connection", b"close")]
        headers += [(name.encode(), value.encode()) for name, value in response.headers.items()]
        headers.append((b"Content-Length", str(len(response.body)).encode()))
        try:
            for event in (
                h11.Response(status_code=response.status, headers=headers, reason=b"Refused"),
                h11.Data(data=response.body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
            self.transport.write_eof()
        except (h11.LocalProtocolError, OSError):
            self.transport.abort()
        else:
            # The rest is dropped as it comes: with unread bytes, the refusal itself would be lost on its way.
            self.loop.call_later(self._limits.linger, self.transport.close)
