"""Asking a remote model within a budget, several requests at a time, with every attempt and every reply in a ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..core import ConfigError, DoubtError, EndpointError, PixpromptError
from ..models.budget import Budget
from ..models.journal import Journal, to_pixels
from ..models.ledger import Doubt
from ..models.reply_ledger import Kept, ReplyLedger
from ..models.torch_model import check_images
from .attempts import Attempts
from .clock import Stopped
from .model import RemoteModel

__all__ = ["POLICIES", "ImageRefused", "RemoteJournal"]

POLICIES = ("ask", "retry", "skip")
"""What to do about requests in doubt: raise an error, ask their images again, or leave them without an answer."""
_CHUNK = (32, 256)
_AT_ONCE = 8
_NAMED = 10

Canvases = npt.NDArray[np.uint8]


class ImageRefused(EndpointError):
    """The endpoint refuses a request for what is in it; other images, or each of these alone, it may answer."""


class RemoteJournal(Journal):
    """Asks a remote model only what the ledger does not hold, within a budget, and writes every attempt down.

    Requests are sent by several threads; rows are made of the replies afterwards, in the order of the images, so
    neither the concurrency nor what was replayed changes them. The first request to an endpoint asks about one image
    alone: what is wrong shows then. After an error, or Ctrl-C, what is under way is finished and kept, nothing new is
    begun.

    Args:
        model: The model to ask.
        ledger: Where queries are written; None keeps them in memory.
        budget: Of this run.
        concurrency: The most requests under way at the same time.
        in_doubt: One of POLICIES, for requests that an earlier session left.
        anew: Whether the budget is that of this session alone; else what the ledger holds is added to its `spent`.

    Attributes:
        notes: What a person should know about the requests in doubt.
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
        anew: bool = False,
    ) -> None:
        if concurrency < 1:
            raise ConfigError(f"expected at least 1 request at a time, got {concurrency}.")
        super().__init__(model, ReplyLedger(None) if ledger is None else ledger, budget)
        self.concurrency = concurrency
        self.chunk = min(max(_CHUNK[0], _AT_ONCE * model.max_batch), _CHUNK[1])
        self.ledger.endpoint = model.digest
        self.notes = self._resolve(in_doubt or "ask")
        if not anew:
            totals = self.ledger.totals()
            budget.charge(totals.images, totals.requests)
        self._known = f"endpoint_{model.digest}"
        self.proven = self.ledger.read_meta(self._known) is not None

    @torch.no_grad()
    def ask(self, images: Tensor, replicate: int = 0) -> Tensor:
        """Answers images; see `Journal.ask`. What was left without an answer gives a row of zeros.

        Raises:
            EndpointError: The endpoint refuses for good, or no longer answers.
        """
        check_images(images, self.spec.image_size)
        replies = self.replies(to_pixels(images).permute(0, 2, 3, 1).contiguous().numpy(), replicate)
        return torch.from_numpy(self.model.read(replies)).to(images.device)

    def replies(self, canvases: Canvases, replicate: int = 0) -> list[Kept]:
        """Returns what was replied about images (N, H, W, 3), asking where that is not known yet; see `ask`."""
        keys = self.model.keys(canvases)
        found = dict(zip(keys, self.ledger.find_replies(keys, replicate), strict=True))
        first = {key: index for index, key in reversed(list(enumerate(keys))) if found[key] is None}
        new = sorted(first.values())
        parts = self._parts(new)
        self.budget.require(len(new), len(parts))
        self.ledger.count_hits(len(keys) - len(new))
        if parts and not self.proven:
            self._send(parts[:1], canvases, keys, replicate)
            self.ledger.write_meta(**{self._known: self.model.identity})
            self.proven, parts = True, parts[1:]
        self._send(parts, canvases, keys, replicate)
        wanted = [keys[index] for index in new]
        found.update(zip(wanted, self.ledger.find_replies(wanted, replicate), strict=True))
        self._seen.update((key, replicate) for key in keys)
        return [_there(found[key]) for key in keys]

    def _parts(self, new: list[int]) -> list[list[int]]:
        alone = [new[:1]] if new and not self.proven else []
        rest, size = new[len(alone) :], self.model.max_batch
        return alone + [rest[start : start + size] for start in range(0, len(rest), size)]

    def _send(self, parts: Sequence[list[int]], canvases: Canvases, keys: Sequence[bytes], replicate: int) -> None:
        """Sends requests side by side; after an error those under way are finished."""
        if not parts:
            return
        caller = self.model.caller()

        def one(part: list[int]) -> None:
            pictures = [self.model.picture(canvases[index]) for index in part]
            digests = [hashlib.sha256(picture.content).digest() for picture in pictures if picture.content]
            wanted = [keys[index] for index in part]
            attempts = Attempts(self.ledger, self.budget, wanted, digests, replicate, self.model.sender)
            try:
                caller.ask(pictures, attempts)
            except BaseException as error:
                caller.stop()
                if isinstance(error, EndpointError) and attempts.about_images:
                    raise ImageRefused(str(error)) from None
                raise

        # In threads of their own even if there is one only: Ctrl-C reaches the main thread, and must not cut an answer.
        with ThreadPoolExecutor(min(self.concurrency, len(parts))) as pool:
            futures = [pool.submit(one, part) for part in parts]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:  # after Ctrl-C, too
                if not all(future.done() for future in futures):
                    caller.stop()
                for future in futures:
                    future.cancel()
        errors = [future.exception() for future in futures if not future.cancelled()]
        error = next((each for each in errors if each is not None and not isinstance(each, Stopped)), None)
        if error is not None:
            raise error

    def _resolve(self, policy: str) -> list[str]:
        if policy not in POLICIES:
            raise ConfigError(f"in doubt, {', '.join(POLICIES)} are possible, got {policy!r}.")
        doubts = self.ledger.unresolved()
        if not doubts:
            return self._told()
        images = sum(doubt.images for doubt in doubts)
        if policy == "ask":
            named = "; ".join(map(_described, doubts[:_NAMED])) + ("; ..." if len(doubts) > _NAMED else "")
            raise DoubtError(
                f"{len(doubts)} requests about {images} images were under way when an earlier session ended, and may "
                f"have been answered and billed ({named}). Say --in-doubt retry to ask again (they may be billed "
                "twice), or --in-doubt skip to leave these images without an answer."
            )
        self.ledger.resolve(policy)
        return self._told()

    def _told(self) -> list[str]:
        """Returns a line for each decision about requests in doubt, over all sessions."""
        doubts = [doubt for doubt in self.ledger.in_doubt() if doubt.endpoint == self.ledger.endpoint]
        words = {"retry": "asked again, and perhaps billed twice", "skip": "left without an answer"}
        lines = []
        for policy, what in words.items():
            images = [doubt.images for doubt in doubts if doubt.resolved == policy]
            if images:
                lines.append(
                    f"{len(images)} requests about {sum(images)} images were in doubt after a crash; these were {what}."
                )
        return lines


def _described(doubt: Doubt) -> str:
    when = datetime.fromtimestamp(doubt.asked, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"request {doubt.request} of {when} UTC, {doubt.images} images"


def _there(reply: Kept | None) -> Kept:
    if reply is None:
        raise PixpromptError("an answer that was written to the ledger is not there; is the file in use elsewhere?")
    return reply
