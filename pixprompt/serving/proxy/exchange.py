"""One request on its way to the server behind, and the reply on its way back; the ledger knows before anybody else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.types import Message, Receive, Send

from ...core import PixpromptError
from ...remote.calls.faults import kind_of
from ...remote.http.upstream import Headers as Pairs, StreamedReply, Upstream
from ...remote.messages import Fault, FaultKind, Incoming
from ...remote.protocols.v2.reply import LENGTH_HEADER
from ...replies.parse import Reply
from ..messages import Request, RequestError, Response
from .answer_map import AnswerMap
from .forms import Form, Prompted
from .prompter import UnknownForm
from .record import Record, redacted, redactor_for

__all__ = ["Exchange", "Route"]

_log = logging.getLogger(__name__)
_STREAMS = ("text/event-stream", "application/x-ndjson", "application/stream+json")
_MAX_REPLY = 64 << 20
"""The longest reply about images that is no stream: it is held until it is written down."""
_MAX_STREAM = 1 << 20
"""Bytes at the beginning of a stream that are written down."""
_SMALL = 1 << 15
_COUNT = "X-Pixprompt-Images"
"""In replies: how many images of the request were prompted."""


@dataclass(frozen=True)
class Route:
    """Where requests go, and what is done with replies.

    Attributes:
        answer_map: Maps answers; None where they stay as they are.
        strict: Whether a reply that cannot be mapped is an error; else it passes unchanged.
    """

    upstream: Upstream
    record: Record
    answer_map: AnswerMap | None
    strict: bool


class Exchange:
    """One request with its images prompted.

    Args:
        route: Where it goes.
        request: As the client sent it.
        headers: All of its headers, also those that come twice.
        form: Its form; None where it passes unchanged.
        prompted: What is sent instead.

    Attributes:
        status: Status of the reply; None until there is one.
        seconds: From sending the request to the end of the reply.
    """

    def __init__(self, route: Route, request: Request, headers: Pairs, form: Form | None, prompted: Prompted) -> None:
        self._route, self._request, self._form, self._prompted = route, request, form, prompted
        self._client_headers = headers
        self._count = len(prompted.digests)
        self._number: int | None = None
        self.status: int | None = None
        self.seconds = 0.0

    async def run(self, receive: Receive, send: Send) -> None:
        """Forwards the request and passes its reply on.

        Raises:
            RequestError: No reply came, or none that can be passed on.
            PixpromptError: The ledger cannot be written; nothing was sent.
        """
        if self._count:
            self._number = await self._route.record.begin(self._prompted.digests)
        try:
            reply = await self._route.upstream.send(
                self._request.method, self._request.path, self._headers(), self._prompted.body
            )
            self.status = reply.status
            try:
                kind = reply.header("content-type").partition(";")[0].strip().lower()
                if self._count and kind not in _STREAMS:
                    await self._answer(reply, send)
                else:
                    await self._pass_on(reply, receive, send)
            finally:
                self.seconds = reply.seconds
                await reply.close()
        except Fault as fault:
            await self._fail(fault)
            raise RequestError(502, f"no answer from the server behind: {fault.reason}.") from None
        except asyncio.CancelledError:
            await self._fail(Fault(FaultKind.LOST, "the proxy ended before the answer did"))
            raise

    def _headers(self) -> list[tuple[str, str]]:
        names = {name.lower() for name in self._prompted.headers}
        if self._count:
            names |= {"accept-encoding", LENGTH_HEADER.lower()}
        headers = [(name, value) for name, value in self._client_headers if name.lower() not in names]
        # An answer about images must be readable, for the ledger and to be mapped.
        return [*headers, *self._prompted.headers.items(), *([("Accept-Encoding", "identity")] if self._count else [])]

    async def _answer(self, reply: StreamedReply, send: Send) -> None:
        """Writes a reply down when it is whole, and then passes it on."""
        body = bytearray()
        async for chunk in reply.chunks():
            body += chunk
            if len(body) > _MAX_REPLY:
                raise Fault(FaultKind.GARBLED, f"the reply is longer than {_MAX_REPLY} bytes")
        headers = {name.lower(): value for name, value in reply.headers}
        content = redactor_for(self._request).clean(bytes(body), is_answer=True)  # as it may be written down
        incoming = Incoming(reply.status, headers, content, reply.seconds)
        # A thread of its own costs more than reading a small reply.
        small = len(content) < _SMALL
        answers, reason = self._read(incoming) if small else await asyncio.to_thread(self._read, incoming)
        await self._store(reply, content, answers)
        status, passed_on = reply.status, [pair for pair in reply.headers if pair[0].lower() != "content-length"]
        if self._route.answer_map is not None and status < 300:
            arguments = incoming, answers, reason
            mapped = self._mapped(*arguments) if small else await asyncio.to_thread(self._mapped, *arguments)
            if mapped is not None:
                body, passed_on = bytearray(mapped.body), [*_without_body(passed_on), *mapped.headers.items()]
        await send(_start(status, [*passed_on, ("Content-Length", str(len(body))), (_COUNT, str(self._count))]))
        await send({"type": "http.response.body", "body": bytes(body)})

    def _read(self, incoming: Incoming) -> tuple[Sequence[Reply | None], str]:
        """Returns what a reply says about each image, or why that cannot be read."""
        nothing: Sequence[Reply | None] = [None] * self._count
        if self._form is None or incoming.status >= 300:
            return nothing, f"HTTP {incoming.status}"
        try:
            return self._form.read(self._request, incoming, self._count), ""
        except Fault as fault:
            return nothing, fault.reason

    def _mapped(self, incoming: Incoming, answers: Sequence[Reply | None], reason: str) -> Response | None:
        answer_map, form = self._route.answer_map, self._form
        if answer_map is None or form is None:
            return None
        try:
            if reason:
                raise UnknownForm(reason)
            return form.write(self._request, incoming, answer_map(answers), answer_map.classes)
        except UnknownForm as error:
            if self._route.strict:
                raise RequestError(502, f"the answer cannot be mapped: {error}.") from error
            return None

    async def _pass_on(self, reply: StreamedReply, receive: Receive, send: Send) -> None:
        """Passes a reply on as it comes; one about images is written down before its end is passed on."""
        disconnected = asyncio.ensure_future(_disconnect(receive))
        beginning = bytearray()
        try:
            await send(_start(reply.status, [*reply.headers, (_COUNT, str(self._count))]))
            async for chunk in reply.chunks():
                beginning += chunk[: _MAX_STREAM - len(beginning)] if self._count else b""
                if disconnected.done():
                    raise Fault(FaultKind.LOST, "the client left before the answer was whole")
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except Fault as fault:
            # What was sent cannot be taken back: the connection ends, so that the client sees a broken answer.
            await self._fail(fault, reply, bytes(beginning))
            raise ConnectionAbortedError from None
        finally:
            disconnected.cancel()
        await self._store(reply, bytes(beginning), [None] * self._count)
        await send({"type": "http.response.body", "body": b""})

    async def _store(self, reply: StreamedReply, body: bytes, answers: Sequence[Reply | None]) -> None:
        kind = kind_of(reply.status)
        if kind is None:
            await self._write(self._route.record.store, answers, reply, body)
        else:
            await self._fail(Fault(kind, f"HTTP {reply.status}"), reply, body)

    async def _fail(self, fault: Fault, reply: StreamedReply | None = None, body: bytes = b"") -> None:
        await self._write(self._route.record.fail, fault, reply, body)

    async def _write(
        self, write: Callable[..., Awaitable[None]], outcome: object, reply: StreamedReply | None, body: bytes
    ) -> None:
        """Writes down how the request ended, once.

        Where that fails, the client still gets what was paid for, and the ledger lets no further request out.
        """
        if self._number is None:
            return
        number, self._number, message = self._number, None, None
        if reply is not None:
            message = redacted(reply.status, reply.headers, body, reply.seconds, redactor_for(self._request))
        try:
            await write(number, outcome, message, len(self._prompted.body))
        except PixpromptError as error:
            _log.warning("the outcome of request %d could not be written: %s", number, error)


async def _disconnect(receive: Receive) -> None:
    """Waits until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _start(status: int, headers: Pairs) -> Message:
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return {"type": "http.response.start", "status": status, "headers": pairs}


def _without_body(headers: Pairs) -> Pairs:
    """Returns headers of a reply but for those that are about its old body."""
    about = {"content-type", "content-encoding", LENGTH_HEADER.lower(), "etag", "content-md5", "digest"}
    return [pair for pair in headers if pair[0].lower() not in about]
