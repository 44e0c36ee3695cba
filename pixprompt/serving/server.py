"""A `Service` on a socket: the model is called by one thread, what is known without it is answered at once."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from starlette.requests import ClientDisconnect, Request as HttpRequest
from starlette.types import Receive, Scope, Send

from .http_server import HttpServer
from .intake import Intake, send_response, to_the_end
from .limits import Limits
from .messages import Request, RequestError, Response

__all__ = ["Respondent", "Server"]

_log = logging.getLogger(__name__)


class Respondent(Protocol):
    """What is served: `Service` or `PromptService`."""

    @property
    def name(self) -> str:
        """Name of the model in paths."""
        ...

    @property
    def max_bytes(self) -> int:
        """The longest request."""
        ...

    def respond(self, request: Request) -> Response:
        """Answers one request; raises nothing."""
        ...


class Server(HttpServer):
    """Serves a service from background threads while a `with` block runs; see `HttpServer`.

    Requests reach the model in the order in which they are complete.

    Args:
        host: An address of this machine; 127.0.0.1 is not reachable from others.
        port: 0 for any free one.
    """

    def __init__(
        self, service: Respondent, *, host: str = "127.0.0.1", port: int = 0, limits: Limits | None = None
    ) -> None:
        limits = limits or Limits()
        self.service = service
        super().__init__(
            lambda: _ServiceApp(service, Intake(limits, service.max_bytes, host)), host=host, port=port, limits=limits
        )

    @property
    def url(self) -> str:
        """Where the model is, inside the block."""
        return f"{self.origin}/v2/models/{self.service.name}"


class _ServiceApp:
    def __init__(self, service: Respondent, intake: Intake) -> None:
        self._service, self._intake = service, intake
        self._model_thread = ThreadPoolExecutor(1, "model")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        intake, receive = self._intake, to_the_end(receive)
        try:
            response, refused = await self._answer(HttpRequest(scope, receive)), False
        except RequestError as error:
            response, refused = error.response(), True
        except ClientDisconnect:
            return _log.debug("a client left before its request was there")
        linger = intake.limits.linger if refused and not intake.ending else 0.0
        await send_response(response, scope, receive, send, close=refused or intake.ending, linger=linger)

    async def _answer(self, http: HttpRequest) -> Response:
        self._intake.check_headers(http)
        body = await self._intake.read(http)
        query = f"?{http.url.query}" if http.url.query else ""
        path = http.scope["raw_path"].decode("ascii") + query
        request = Request(http.method, path, dict(http.headers.items()), body)
        if request.method != "POST":
            return self._service.respond(request)
        with self._intake.room():
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._model_thread, self._service.respond, request)

    def end(self) -> None:
        self._intake.end()

    async def close(self) -> None:
        self._model_thread.shutdown(wait=False, cancel_futures=True)
