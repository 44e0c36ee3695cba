"""Querying a remote model within a budget, several requests at a time, with every attempt and reply in a ledger."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from ..core import ConfigError, DoubtError, EndpointError, PixpromptError
from ..ledger.budget import Budget
from ..ledger.journal import Journal
from ..ledger.ledger import PRICE, Doubt, Totals
from ..ledger.querier import Canvases, Rows
from ..ledger.reply_ledger import SKIPPED, ReplyLedger, Skipped, StoredReply
from ..tensor_checks import check_images, to_pixels
from ..urls import plain_url
from .calls.attempts import LedgerAttempts
from .calls.retry import Final
from .calls.thread_pool import run_concurrently
from .http.secrets import variables_of
from .model import RemoteModel
from .refusals import IN_A_ROW, ImageRefused, RefusalPolicy

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["POLICIES", "RemoteJournal"]

POLICIES = ("ask", "retry", "skip")
"""What to do about requests in doubt: raise an error, ask their images again, or leave them without an answer."""
_REQUESTS = (256, 8)
_MEMORY = 256 << 20
"""A chunk is worth 256 requests, or as many as have room for their images as float32, but at least 8: the disk is
waited for once for each, and at its end some connections are idle."""
_SHARE = 20
"""More than `IN_A_ROW` images may be left without an answer, but no more than a twentieth."""
_NAMED = 10


@dataclass(frozen=True)
class _Query:
    """Images that are to be answered."""

    canvases: Canvases
    keys: Sequence[bytes]
    replicate: int


class RemoteJournal(Journal):
    """Queries a remote model only about what the ledger does not hold, within a budget, and writes every attempt down.

    Requests are sent by several threads; rows are made of the replies afterwards, in the order of the images, so
    neither the concurrency nor what was replayed changes them. The first request to an endpoint asks about one image
    alone: what is wrong shows then. After an error, or Ctrl-C, what is under way is finished and kept, nothing new is
    begun.

    Args:
        ledger: Where queries are written; None keeps them in memory.
        concurrency: The most requests under way at the same time.
        in_doubt: One of POLICIES, for requests that an earlier session left.
        session_only: Whether to count, and spend of the budget, what this session queries alone; else what the ledger
            holds as well.
        leave_refused: Whether an image that is refused for good is left without an answer once the endpoint has
            answered others; up to a twentieth of the images. Else it is an error.

    Attributes:
        proven: Whether the endpoint ever answered.

    Raises:
        ConfigError: `concurrency` or `in_doubt` makes no sense.
        DoubtError: There are requests in doubt, and the policy is to ask.
    """

    model: RemoteModel
    ledger: ReplyLedger

    def __init__(
        self,
        model: RemoteModel,
        ledger: ReplyLedger | None,
        budget: Budget,
        *,
        concurrency: int = 4,
        in_doubt: str | None = None,
        session_only: bool = False,
        leave_refused: bool = False,
    ) -> None:
        if concurrency < 1:
            raise ConfigError(f"expected at least 1 request at a time, got {concurrency}.")
        super().__init__(model, ReplyLedger(None) if ledger is None else ledger, budget)
        self.concurrency, self.leave_refused = concurrency, leave_refused
        height, width = model.spec.image_size
        most, least = (count * model.max_batch for count in _REQUESTS)
        self.chunk = max(min(most, _MEMORY // (12 * height * width)), least)
        self.ledger.endpoint, self.ledger.num_at_once = model.digest, concurrency
        self._resolve(in_doubt or "ask")
        totals = self.ledger.totals()
        self._before = totals if session_only else None
        if not session_only:
            budget.charge(totals.images, totals.requests)
        self._known = f"endpoint_{model.digest}"
        self.proven = self.ledger.read_meta(self._known) is not None
        self._on_first: Callable[[float], None] = lambda seconds: None
        self._refusals = RefusalPolicy()

    @property
    def identity(self) -> str:
        """What, besides the image, its answers depend on."""
        return self.model.identity

    def totals(self) -> Totals:
        """Returns what was queried, over all sessions of the ledger or in this one alone."""
        totals = self.ledger.totals()
        return totals if self._before is None else totals.since(self._before)

    def query(self, images: Tensor, replicate: int = 0) -> Tensor:
        """Answers images; see `Journal.query`. What was left without an answer gives a row of NaN.

        Raises:
            EndpointError: The endpoint refuses for good, or no longer answers.
        """
        return _on(images, self._rows(self.replies(self._canvases(images), replicate)))

    def query_pixels(self, canvases: Canvases, device: str = "cpu", *, replicate: int = 0) -> Rows:
        """Answers 8-bit images (N, H, W, 3) without torch; see `query`."""
        return self._rows(self.replies(canvases, replicate))

    def query_each(self, images: Tensor) -> tuple[Tensor, dict[int, str]]:
        """Answers images; those that are refused for good get a row of NaN, and may be queried again later.

        Returns:
            Outputs (N, S), and why which images were refused.

        Raises:
            EndpointError: The endpoint refuses several images in a row, or no longer answers.
        """
        rows, refused = self.query_pixels_each(self._canvases(images))
        return _on(images, rows), refused

    def query_pixels_each(self, canvases: Canvases, device: str = "cpu") -> tuple[Rows, dict[int, str]]:
        """Answers 8-bit images (N, H, W, 3) without torch; see `query_each`."""
        refused: dict[bytes, str] = {}
        replies = self.replies(canvases, refused=refused)
        keys = self.model.keys(canvases) if refused else []
        return self._rows(replies), {i: refused[key] for i, key in enumerate(keys) if key in refused}

    def new_queries(self, canvases: Iterable[Canvases]) -> int:
        """Returns how many images among batches (n, H, W, 3) are not answered yet, each once."""
        new: set[bytes] = set()
        for batch in canvases:
            keys = self.model.keys(batch)
            new.update(key for key, reply in zip(keys, self.ledger.find_replies(keys), strict=True) if reply is None)
        return len(new)

    def require(self, num_queries: int) -> None:
        """Makes sure that so many new images, and the requests that carry them, fit into the budget.

        Raises:
            BudgetError: The images do not.
            LimitError: The requests do not.
        """
        self.budget.require(num_queries, self.num_requests(num_queries))

    def announce(self, num_queries: int, tell: Callable[[str], None], *, rate: float | None = None) -> None:
        """Says who is queried, how often, at what price and for how long; see `Querier.announce`."""
        requests, price = self.num_requests(num_queries), self.ledger.read_meta(PRICE)
        cost = "" if price is None else f", cost {num_queries * float(price) / 1000:.4g}"
        url = plain_url(self.model.protocol.endpoint.url)
        tell(f"asks {url} about up to {num_queries} images ({requests} requests or more{cost})")
        for variable, header in variables_of(self.model.protocol.endpoint.headers).items():
            tell(f"sends the environment variable {variable} there, in the header {header}")
        tell(f"queries are written to {self.ledger.path}")
        at_once = self.chunk // self.model.max_batch
        if at_once < self.concurrency:
            tell(f"requests are so large that no more than {at_once} are under way at the same time")

        def estimate(seconds: float) -> None:
            total = max(seconds * requests / self.concurrency, num_queries / rate if rate else 0.0)
            tell(f"the first answer took {seconds:.2f} s: about {total:.0f} s for {requests} requests")

        self._on_first = estimate

    def num_requests(self, num_images: int) -> int:
        """Returns how many requests so many new images take, if none fails."""
        alone = min(num_images, 0 if self.proven else 1)
        return alone - (alone - num_images) // self.model.max_batch

    def replies(
        self, canvases: Canvases, replicate: int = 0, *, refused: dict[bytes, str] | None = None
    ) -> list[StoredReply]:
        """Returns what was replied about images (N, H, W, 3), querying where that is not known yet; see `query`.

        Args:
            replicate: Which query about the same images this is.
            refused: Gets the keys of images that are refused for good, and why; None lets `leave_refused` decide.
        """
        keys = self.model.keys(canvases)
        replies = dict(zip(keys, self.ledger.find_replies(keys, replicate), strict=True))
        self.model.learn_form(replies.values())
        first = {key: index for index, key in reversed(list(enumerate(keys))) if replies[key] is None}
        new = sorted(first.values())
        self.require(len(new))
        self.ledger.count_hits(len(keys) - len(new))
        query = _Query(canvases, keys, replicate)
        for index, reason in self._query_new(query, new, strict=refused is None):
            if refused is None:
                self._leave(keys[index], replicate, reason)
            else:
                refused[keys[index]] = reason
        new_keys = [keys[index] for index in new]
        replies.update(zip(new_keys, self.ledger.find_replies(new_keys, replicate), strict=True))
        self._count_distinct(keys, replicate)
        return [_checked(replies[key], key in (refused or {})) for key in keys]

    def _query_new(self, query: _Query, new: list[int], *, strict: bool) -> Iterator[tuple[int, str]]:
        """Queries images that are new, and yields those that are refused for good."""
        while new and not self.proven:
            began = time.perf_counter()
            yield from self._send_around_refusals(query, [new[:1]], strict=strict)
            if self._answered(query, new[:1]):
                self.ledger.write_meta(**{self._known: self.model.identity})
                self.proven = True
                self._on_first(time.perf_counter() - began)
            new = new[1:]
        size = self.model.max_batch
        parts = [new[start : start + size] for start in range(0, len(new), size)]
        yield from self._send_around_refusals(query, parts, strict=strict and not self.leave_refused)

    def _send_around_refusals(self, query: _Query, parts: list[list[int]], *, strict: bool) -> list[tuple[int, str]]:
        """Sends requests; returns the images that are refused for good, and why, unless that is an error."""
        if strict:
            self._send(parts, query)
            return []
        return self._refusals.query(
            parts, lambda some: self._send(some, query), lambda part: self._answered(query, part)
        )

    def _answered(self, query: _Query, part: Sequence[int]) -> set[int]:
        replies = self.ledger.find_replies([query.keys[index] for index in part], query.replicate)
        return {index for index, reply in zip(part, replies, strict=True) if reply is not None}

    def _leave(self, key: bytes, replicate: int, reason: str) -> None:
        num_refused = self.ledger.refused + 1
        if num_refused > max(IN_A_ROW, len(self._seen) // _SHARE):
            raise EndpointError(f"{reason} {num_refused} images were refused so far, which are too many to do without.")
        self.ledger.skip(key, replicate, reason)

    def _send(self, parts: Sequence[list[int]], query: _Query) -> None:
        """Sends requests side by side; after an error those under way are finished."""
        if not parts:
            return
        caller = self.model.caller()
        planned = self.ledger.plan([[query.keys[index] for index in part] for part in parts], query.replicate)

        def one(job: tuple[list[int], int]) -> None:
            part, request = job
            pictures = [self.model.picture(query.canvases[index]) for index in part]
            digests = [hashlib.sha256(picture.content).digest() for picture in pictures if picture.content]
            part_keys = [query.keys[index] for index in part]
            attempts = LedgerAttempts(
                self.ledger, self.budget, part_keys, digests, query.replicate, request, self.model.sender
            )
            try:
                caller.query(pictures, attempts)
            except BaseException as error:
                caller.stop()
                if isinstance(error, Final) and attempts.about_images:
                    raise ImageRefused(str(error), part) from None
                raise

        try:
            jobs = list(zip(parts, planned, strict=True))
            run_concurrently(one, jobs, at_once=self.concurrency, stop=caller.stop, timeout=caller.timeout)
        except BaseException:
            with suppress(PixpromptError):  # else they are forgotten when the ledger is opened again
                self.ledger.withdraw(planned)
                self.ledger.flush()
            raise
        self.ledger.flush()

    def _canvases(self, images: Tensor) -> Canvases:
        check_images(images, self.spec.image_size)
        return to_pixels(images).permute(0, 2, 3, 1).contiguous().numpy()

    def _rows(self, replies: list[StoredReply]) -> Rows:
        rows = self.model.read(replies)
        missing = [isinstance(reply, Skipped) for reply in replies]
        if any(missing):
            rows = rows if rows.shape[1] else np.zeros((len(rows), 1), np.float32)  # all of the first ones are missing
            rows[missing] = np.nan
        return rows

    def _resolve(self, policy: str) -> None:
        if policy not in POLICIES:
            raise ConfigError(f"in doubt, {', '.join(POLICIES)} are possible, got {policy!r}.")
        doubts = self.ledger.unresolved()
        if not doubts:
            return
        images = sum(doubt.images for doubt in doubts)
        if policy == "ask":
            named = "; ".join(map(_described, doubts[:_NAMED])) + ("; ..." if len(doubts) > _NAMED else "")
            raise DoubtError(
                f"{len(doubts)} requests about {images} images were under way when an earlier session ended, and may "
                f"have been answered and billed ({named}). Say --in-doubt retry to ask again (they may be billed "
                "twice), or --in-doubt skip to leave these images without an answer."
            )
        self.ledger.resolve(policy)

    @property
    def notes(self) -> list[str]:
        """What a person should know: decisions about requests in doubt, and refused images, over all sessions."""
        doubts = [doubt for doubt in self.ledger.in_doubt() if doubt.endpoint == self.ledger.endpoint]
        words = {"retry": "asked again, and perhaps billed twice", "skip": "left without an answer"}
        lines = []
        for policy, what in words.items():
            images = [doubt.images for doubt in doubts if doubt.resolved == policy]
            if images:
                lines.append(
                    f"{len(images)} requests about {sum(images)} images were in doubt after a crash; these were {what}."
                )
        if self.ledger.refused:
            lines.append(
                f"{self.ledger.refused} images were refused for good, and left without an answer; 'pixprompt ledger "
                "--requests' says why."
            )
        return lines


def _on(images: Tensor, rows: Rows) -> Tensor:
    """Returns rows as a tensor on the device of the images."""
    import torch

    return torch.from_numpy(rows).to(images.device)


def _described(doubt: Doubt) -> str:
    when = datetime.fromtimestamp(doubt.asked, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"request {doubt.request} of {when} UTC, {doubt.images} images"


def _checked(reply: StoredReply | None, refused: bool) -> StoredReply:
    if refused:
        return SKIPPED
    if reply is None:
        raise PixpromptError("an answer that was written to the ledger is not there; is the file in use elsewhere?")
    return reply
