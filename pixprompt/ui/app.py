"""The page as an application: what it answers to whom; everything that it shows is made in threads."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from PIL import Image
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ..canvas import decode, open_image
from ..core import ConfigError, PixpromptError
from ..report.page.environment import environment
from ..serving.intake import Intake, send_response, to_the_end
from ..serving.messages import RequestError
from ..serving.prompt_service import MAX_PIXELS, check_size
from .access import HEADERS, Access
from .follow import events
from .pages import Pages
from .runs import RunsFolder
from .trial import Trials

__all__ = ["UiApp"]

T = TypeVar("T")
_log = logging.getLogger(__name__)
_STATIC = {"/ui.js": "text/javascript", "/style.css": "text/css"}
_ENTRY = "/session"
_INTERVAL = 0.5
"""Seconds between two looks at the files of a run that is followed."""


class UiApp:
    """Answers the requests of one browser.

    Args:
        access: Whom it is shown to.
    """

    def __init__(self, runs: RunsFolder, access: Access, intake: Intake, *, device: str) -> None:
        self._runs, self._access, self._intake = runs, access, intake
        self._pages, self._trials = Pages(runs), Trials(device)
        # One thread each: neither figures nor models may be worked on twice at once.
        self._page_thread, self._model_thread = ThreadPoolExecutor(1, "pages"), ThreadPoolExecutor(1, "model")
        self._ending = asyncio.Event()
        self._handlers: dict[tuple[str, str], Callable[[Request], Awaitable[Response]]] = {
            **{("GET", path): self._static for path in _STATIC},
            ("POST", _ENTRY): self._enter,
            ("GET", "/"): self._list,
            ("GET", "/run"): self._run,
            ("GET", "/compare"): self._compare,
            ("GET", "/try"): self._try_page,
            ("GET", "/picture"): self._picture,
            ("GET", "/thumbnail"): self._thumbnail,
            ("GET", "/download"): self._download,
            ("GET", "/events"): self._events,
            ("POST", "/prompt"): self._prompt,
            ("POST", "/try"): self._try,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        whole = to_the_end(receive)
        request = Request(scope, whole)
        try:
            self._intake.check_headers(request)
            self._access.check_site(request)
            response = await self._answer(request)
        except RequestError as error:
            if request.method == "GET":
                response = self._refusal(error)
            else:
                linger = 0.0 if self._intake.ending else self._intake.limits.linger
                return await send_response(error.response(), scope, whole, send, close=True, linger=linger)
        except ClientDisconnect:
            return _log.debug("a client left before its request was there")
        response.headers.update(HEADERS)
        await response(scope, receive, send)  # the server's own, which says when the reader of a stream leaves

    def end(self) -> None:
        """Takes nothing new, and ends what is followed."""
        self._intake.end()
        self._ending.set()

    async def close(self) -> None:
        """Releases the model."""
        self._page_thread.shutdown(wait=False, cancel_futures=True)
        self._model_thread.shutdown(wait=True, cancel_futures=True)
        self._trials.close()

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        if path not in (*_STATIC, _ENTRY) and not self._access.admits(request):
            if request.method == "GET":
                return HTMLResponse(self._pages.entrance(), 401)
            raise RequestError(401, "open the link that pixprompt ui printed.")
        handler = self._handlers.get((request.method, path))
        if handler is None:
            raise RequestError(404, "there is no such page.")
        with self._intake.room(), _reported(path):
            return await handler(request)

    def _refusal(self, error: RequestError) -> Response:
        return HTMLResponse(self._pages.refusal(error.reason), error.status, error.headers)

    async def _page(self, make: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._page_thread, make, *arguments)

    async def _static(self, request: Request) -> Response:
        path = request.url.path
        return Response(_static(path), media_type=_STATIC[path])

    async def _enter(self, request: Request) -> Response:
        return self._access.enter(request, await self._intake.read(request))

    async def _list(self, request: Request) -> Response:
        return HTMLResponse(await self._page(self._pages.runs))

    async def _run(self, request: Request) -> Response:
        return HTMLResponse(await self._page(self._pages.run, _one(request, "name")))

    async def _compare(self, request: Request) -> Response:
        return HTMLResponse(await self._page(self._pages.compare, request.query_params.getlist("run")))

    async def _try_page(self, request: Request) -> Response:
        return HTMLResponse(await self._page(self._pages.try_prompt))

    async def _picture(self, request: Request) -> Response:
        path = self._runs.file(_one(request, "run"), _one(request, "file"))
        return Response(await self._page(_png_of, path), media_type="image/png")

    async def _thumbnail(self, request: Request) -> Response:
        return Response(await self._page(self._pages.thumbnail, _one(request, "run")), media_type="image/png")

    async def _download(self, request: Request) -> Response:
        return FileResponse(self._runs.file(_one(request, "run"), "prompt.png"), filename="prompt.png")

    async def _events(self, request: Request) -> Response:
        last = request.headers.get("last-event-id", "0")
        path = self._runs.path(_one(request, "run"))
        return StreamingResponse(
            events(path, int(last) if last.isdecimal() and len(last) < 10 else 0, self._wait),
            media_type="text/event-stream",
        )

    async def _wait(self) -> bool:
        try:
            await asyncio.wait_for(self._ending.wait(), _INTERVAL)
        except TimeoutError:
            return True
        return False

    async def _prompt(self, request: Request) -> Response:
        body = await self._intake.read(request)

        def describe() -> str:
            name, committee = self._trials.remember(body)
            return self._pages.dropped(name, committee, request.query_params.get("file", ""))

        return HTMLResponse(await self._model(describe))

    async def _try(self, request: Request) -> Response:
        query = request.query_params
        image = await self._model(_decode, await self._intake.read(request))
        if "prompt" in query:
            name = None
            trial = await self._model(self._trials.of_dropped, query["prompt"], image)
        else:
            name = _one(request, "run")
            trial = await self._model(self._trials.of_run, await self._page(self._runs.run, name), image)
        file, source = query.get("file", ""), query.get("source", "")
        return HTMLResponse(await self._page(self._pages.trial, trial, name, file, source))

    async def _model(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._model_thread, work, *arguments)


@contextmanager
def _reported(path: str) -> Iterator[None]:
    """Turns errors into refusals.

    Raises:
        RequestError: Something else was raised within.
    """
    try:
        yield
    except (RequestError, ClientDisconnect):
        raise
    except PixpromptError as error:
        raise RequestError(404 if isinstance(error, ConfigError) else 400, str(error)) from error
    except Exception as error:
        _log.warning("%s failed with %s: %s", path, type(error).__name__, error)
        raise RequestError(500, f"unexpected {type(error).__name__}; the terminal says more.") from error


def _decode(content: bytes) -> Image.Image:
    """Reads an image that was dropped on a prompt, as an upright RGB image of at most MAX_PIXELS.

    Raises:
        ImageError: It is none, or too large.
    """
    return decode(content, admit=check_size)


def _png_of(path: Path) -> bytes:
    """Reads a picture of a run and writes it anew, so that nothing else than pixels reaches the browser."""
    buffer = io.BytesIO()
    with open_image(path, formats=("PNG",), max_pixels=MAX_PIXELS) as image:
        image.convert("RGBA" if image.has_transparency_data else "RGB").save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@cache
def _static(path: str) -> str:
    """Returns a file of this package; the style is that of the report, and what the page adds to it."""
    text = (files(__package__) / "static" / path.lstrip("/")).read_text("utf-8")
    return f"{environment().globals['style']}\n{text}" if path == "/style.css" else text


def _one(request: Request, name: str) -> str:
    """Returns a parameter of the address.

    Raises:
        RequestError: It is missing.
    """
    value = request.query_params.get(name)
    if not value:
        raise RequestError(400, f"the address lacks {name!r}.")
    return value
