"""The ledger of a proxy: each request before it is forwarded, each reply before it is passed on.

One thread writes. What waits for it is written together and waits for the disk once, so that many requests at a time
cost hardly more than one.
"""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

from ...ledger.reply_ledger import ReplyLedger
from ...remote.calls.attempts import stored_headers
from ...remote.http.redaction import Redactor
from ...remote.http.secrets import is_key_name
from ...remote.messages import Fault, Incoming
from ...replies.parse import Reply
from ...urls import plain_url
from ..messages import Request

__all__ = ["Record", "redacted", "redactor_for"]

_MAX_BODY = 1 << 20
"""Bytes of a reply that are written down."""


@dataclass(frozen=True)
class _Intent:
    """A request that is about to be forwarded."""

    digests: tuple[bytes, ...]
    done: Future[int]


@dataclass(frozen=True)
class _Change:
    """Something else to be written."""

    write: Callable[[], None]
    done: Future[None]


class Record:
    """A ledger that an event loop may wait for.

    Args:
        prompt: Digest of the prompt.
        at_once: The most requests under way at the same time.

    Attributes:
        num_in_doubt: Requests that were under way when an earlier proxy ended.

    Raises:
        PixpromptError: The file is no such ledger, or in use.
    """

    def __init__(self, path: str | Path | None, url: str, prompt: str, *, at_once: int) -> None:
        self._ledger = ReplyLedger(path)
        try:
            facts = json.dumps({"url": plain_url(url), "protocol": "proxy", "prompt": prompt}, sort_keys=True)
            self._ledger.endpoint = sha256(facts.encode()).hexdigest()[:16]
            self._ledger.num_at_once = at_once
            self.num_in_doubt = len(self._ledger.unresolved())
            self._ledger.resolve("skip")  # the client has gone
            self._ledger.write_meta(**{f"endpoint_{self._ledger.endpoint}": facts})
        except BaseException:
            self._ledger.close()
            raise
        self._waiting: queue.SimpleQueue[_Intent | _Change | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Writes what waits and closes the ledger."""
        self._waiting.put(None)
        self._thread.join()
        self._ledger.close()

    async def begin(self, digests: Sequence[bytes]) -> int:
        """Writes down that a request with images is forwarded now; returns its number.

        Raises:
            PixpromptError: It cannot be written: nothing may be sent.
        """
        intent = _Intent(tuple(digests), Future())
        self._waiting.put(intent)
        return await asyncio.shield(asyncio.wrap_future(intent.done))

    async def store(self, request: int, replies: Sequence[Reply | None], incoming: Incoming, bytes_sent: int) -> None:
        """Writes a reply down.

        Args:
            request: From `begin`.
            replies: What it says about each image, None where that cannot be read.
            bytes_sent: Length of the request.
        """
        await self._change(lambda: self._ledger.store(request, replies, [None] * len(replies), incoming, bytes_sent))

    async def fail(self, request: int, fault: Fault, incoming: Incoming | None, bytes_sent: int) -> None:
        """Writes down that a request brought no answer."""
        await self._change(
            lambda: self._ledger.fail(
                request,
                fault.reason,
                kind=str(fault.kind),
                billed=fault.billed,
                incoming=incoming,
                bytes_sent=bytes_sent,
            )
        )

    async def _change(self, write: Callable[[], None]) -> None:
        change = _Change(write, Future())
        self._waiting.put(change)
        await asyncio.shield(asyncio.wrap_future(change.done))

    def _work(self) -> None:
        over = False
        while not over:
            batch = [self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get())
            over = None in batch
            done_items = [item for item in batch if isinstance(item, _Change) and _succeeds(item.done, item.write)]
            self._begin([item for item in batch if isinstance(item, _Intent)])
            for change in done_items:
                if _succeeds(change.done, self._ledger.flush):  # one that finds nothing to wait for costs nothing
                    change.done.set_result(None)

    def _begin(self, intents: Sequence[_Intent]) -> None:
        """Plans requests together, which waits for the disk once, also for what was written before."""
        keys = [[uuid4().bytes + index.to_bytes(4) for index in range(len(intent.digests))] for intent in intents]
        try:
            numbers = self._ledger.plan(keys) if intents else range(0)
        except Exception as error:
            for intent in intents:
                intent.done.set_exception(error)
            return
        for intent, number in zip(intents, numbers, strict=True):
            if _succeeds(intent.done, partial(self._ledger.begin, number, len(intent.digests), intent.digests)):
                intent.done.set_result(number)


def _succeeds(done: Future[Any], write: Callable[[], None]) -> bool:
    """Writes; where that fails, whoever waits gets the error."""
    try:
        write()
    except Exception as error:
        done.set_exception(error)
        return False
    return True


def redacted(
    status: int, headers: Iterable[tuple[str, str]], body: bytes, seconds: float, redactor: Redactor
) -> Incoming:
    """Returns a reply as it is written down: without credentials, and of a long one the beginning."""
    clean_headers = {
        name: redactor.clean(value.encode()).decode("utf-8", "replace")
        for name, value in stored_headers(headers).items()
    }
    return Incoming(status, clean_headers, redactor.clean(body[:_MAX_BODY], is_answer=True), seconds)


def redactor_for(request: Request) -> Redactor:
    """Returns what knows the credentials of a request, in its headers and its query."""
    query = parse_qsl(request.path.partition("?")[2])
    fields = [*request.headers.items(), *query]
    return _redactor(frozenset(value for name, value in fields if is_key_name(name)))


@lru_cache(64)
def _redactor(values: frozenset[str]) -> Redactor:
    return Redactor(values)
