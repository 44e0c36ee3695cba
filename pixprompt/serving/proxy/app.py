"""The proxy as an application: what it answers itself, and how it prompts the images of what it forwards."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

from starlette.requests import ClientDisconnect, Request as HttpRequest
from starlette.routing import Route as Path, Router
from starlette.types import Receive, Scope, Send

from ...core import PixpromptError
from ...urls import plain_url
from ..intake import Intake, send_response, to_the_end
from ..messages import Request, RequestError, Response, json_response
from .exchange import Exchange, Route
from .forms import Form, Prompted
from .metrics import Metrics
from .prompter import UnknownForm

__all__ = ["ProxyApp"]

_log = logging.getLogger(__name__)
_MAX_REASONS = 100


class ProxyApp:
    """Answers /health, /v2/health/live and /metrics itself, and forwards everything else.

    Args:
        forms: Forms of requests, in the order in which a request is compared with them.
        route: Where requests go; closed with this.
    """

    def __init__(self, forms: Sequence[Form], route: Route, intake: Intake) -> None:
        self._forms, self._route, self.intake = forms, route, intake
        self._metrics = Metrics(lambda: intake.num_requests)
        self._threads = ThreadPoolExecutor(max(2, os.cpu_count() or 1), "images")
        self._reasons: set[str] = set()
        own = {"/health": self._health, "/v2/health/live": self._health, "/metrics": self._metrics.response}
        paths = [Path(path, _Own(respond, intake)) for path, respond in own.items()]
        self._router = Router(paths, redirect_slashes=False, default=_Forwarding(self))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        await self._router(scope, receive, send)

    def end(self) -> None:
        """Stops taking requests."""
        self.intake.end()

    async def close(self) -> None:
        """Closes the ledger and the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._route.record.close)
        await self._route.upstream.close()

    async def forward(self, http: HttpRequest, receive: Receive, send: Send) -> None:
        """Forwards one request, and passes its reply on.

        Raises:
            ClientDisconnect: The client left before its request was there.
            RequestError: It is refused, or no reply came.
        """
        self.intake.check_headers(http)
        request = Request(http.method, _target(http), dict(http.headers.items()), await self.intake.read(http))
        with self.intake.room() if request.body else nullcontext():
            form, prompted = await self._prompt(request)
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in http.scope["headers"]]
            exchange = Exchange(self._route, request, headers, form, prompted)
            try:
                await exchange.run(receive, send)
            except PixpromptError as error:
                raise RequestError(503, str(error)) from error
            finally:
                self._metrics.replies.labels(str(exchange.status or "none")).inc()
                if exchange.status is not None:
                    self._metrics.upstream_seconds.observe(exchange.seconds)

    def _health(self) -> Response:
        return json_response({"live": True, "to": plain_url(self._route.upstream.url)})

    async def _prompt(self, request: Request) -> tuple[Form | None, Prompted]:
        """Returns a request with its images prompted, and its form; None for one that passes unchanged.

        Raises:
            RequestError: It is not understood, and that is refused.
        """
        if not request.body:
            return None, Prompted(b"", ())
        form = next(form for form in self._forms if form.matches(request))
        start = time.perf_counter()
        try:
            loop = asyncio.get_running_loop()
            prompted = await loop.run_in_executor(self._threads, _prompted, form, request)
        except UnknownForm as error:
            strict = self._route.strict
            self._metrics.requests.labels(form.name, "refused" if strict else "passed").inc()
            reason = str(error).rstrip(".")
            if strict:
                raise RequestError(422, f"not understood, and so not forwarded: {reason}.") from error
            self._warn(f"a request passes unchanged, since it was not understood: {reason}.")
            return None, Prompted(request.body, ())
        self._metrics.own_seconds.observe(time.perf_counter() - start)
        self._metrics.requests.labels(form.name, "prompted" if prompted.digests else "passed").inc()
        self._metrics.images.labels(form.name).inc(len(prompted.digests))
        return form, prompted

    def _warn(self, reason: str) -> None:
        """Logs each reason once."""
        if reason not in self._reasons and len(self._reasons) < _MAX_REASONS:
            self._reasons.add(reason)
            _log.warning(reason)


def _prompted(form: Form, request: Request) -> Prompted:
    """Prompts the images of a request.

    Raises:
        UnknownForm: It has another form.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise UnknownForm("the body is compressed")
    try:
        return form.prompt(request)
    except RequestError as error:
        raise UnknownForm(error.reason) from error


class _Own:
    """Answers what the proxy says about itself, at once, also while it is busy."""

    def __init__(self, respond: Callable[[], Response], intake: Intake) -> None:
        self._respond, self._intake = respond, intake

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._intake.check_headers(HttpRequest(scope, receive))
            response = self._respond()
        except RequestError as error:
            response = error.response()
        await send_response(response, scope, receive, send, close=self._intake.ending)


class _Forwarding:
    """Forwards, and sends refusals."""

    def __init__(self, app: ProxyApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        whole = to_the_end(receive)
        try:
            await self._app.forward(HttpRequest(scope, whole), receive, send)
        except ClientDisconnect:
            _log.debug("a client left before its request was there")
        except ConnectionAbortedError:
            raise  # the answer has begun, and ends here
        except RequestError as error:
            intake = self._app.intake
            linger = 0.0 if intake.ending else intake.limits.linger
            await send_response(error.response(), scope, whole, send, close=True, linger=linger)


def _target(http: HttpRequest) -> str:
    """Returns the path and the query of a request as they were sent.

    Raises:
        RequestError: It is addressed in another way.
    """
    path = http.scope["raw_path"].decode("latin-1")
    if not path.startswith("/") or not path.isascii():
        raise RequestError(400, "the address of a request begins with a slash.")
    query = http.scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path
