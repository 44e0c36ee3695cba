"""A remote model of one-pixel images without a network: its protocol, a sender that plays faults, and the images."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pixprompt.ledger import Budget
from pixprompt.ledger.reply_ledger import ReplyLedger
from pixprompt.remote import RemoteJournal, RemoteModel
from pixprompt.remote.messages import Fault, FaultKind, Incoming, ItemFault, Outgoing, Picture
from pixprompt.remote.protocol import Declared, Endpoint, Protocol
from pixprompt.replies.parse import Reply

from .toy_endpoint import QUICK, URL, FakeClock

Play = Callable[[list[int]], Any]
"""What happens to a request about these images: raises, or returns the answers."""


class Pixels(Protocol):
    """{"images": [red, ...]} -> [answer, ...]; {"error": ...} is one that failed."""

    sends_files = False

    def request(self, pictures: Sequence[Picture]) -> Outgoing:
        body = json.dumps({"images": [int(picture.pixels[0, 0, 0]) for picture in pictures]})
        return Outgoing(self.endpoint.url, body.encode(), {"Content-Type": "application/json"})

    def read(self, incoming: Incoming, count: int) -> list[Reply | ItemFault]:
        return [self._item(item) for item in json.loads(incoming.body)]

    @staticmethod
    def _item(item: Any) -> Reply | ItemFault:
        if isinstance(item, dict) and "error" in item:
            return ItemFault(item["error"], FaultKind(item.get("kind", "busy")))
        return torch.tensor(item, dtype=torch.float64).numpy() if isinstance(item, list) else item


def named(number: int) -> dict[str, float]:
    """The answer about an image: each names a label of its own."""
    return {f"label {number}": 0.75, "common": 0.25}


class ScriptedSender:
    """Answers requests, after the plays of a script are used up.

    Args:
        script: One play per request, in the order of arrival; None for the right answer.
        answer: The right answer to one image.
        slow: Seconds that the answer about an image takes.
    """

    def __init__(
        self,
        *script: Play | None,
        answer: Callable[[int], Any] = named,
        slow: Callable[[int], float] = lambda number: 0.0,
    ) -> None:
        self.script, self.answer, self.slow = list(script), answer, slow
        self.batches: list[list[int]] = []
        self.under_way = self.most_under_way = 0
        self._lock = threading.Lock()

    @property
    def image_numbers(self) -> list[int]:
        return [number for batch in self.batches for number in batch]

    def send(self, outgoing: Outgoing, *, timeout: float) -> Incoming:
        numbers = json.loads(outgoing.body)["images"]
        with self._lock:
            self.batches.append(numbers)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            play = self.script.pop(0) if self.script else None
        try:
            time.sleep(sum(map(self.slow, numbers)))
            results = [self.answer(number) for number in numbers] if play is None else play(numbers)
            if isinstance(results, Incoming):
                return results
            return Incoming(200, {"x-request-id": "7", "set-cookie": "no"}, json.dumps(results).encode(), 0.25)
        finally:
            with self._lock:
                self.under_way -= 1


def fault(kind: str, status: int | None = None, body: bytes = b"") -> Play:
    """A request that fails."""

    def play(numbers: list[int]) -> Any:
        if status is not None:
            return Incoming(status, {}, body or str(numbers).encode())
        raise Fault(FaultKind(kind), f"{kind} as told")

    return play


def some_fail(*bad: int, kind: str = "busy") -> Play:
    """An answer in which some images failed."""
    return lambda numbers: [
        {"error": "no luck", "kind": kind} if number in bad else named(number) for number in numbers
    ]


def images(*numbers: int) -> Tensor:
    pixels = torch.zeros(len(numbers), 3, 1, 1)
    pixels[:, 0, 0, 0] = torch.tensor(numbers)
    return pixels / 255


def remote(sender: ScriptedSender, *, files: bool = False, **facts: Any) -> RemoteModel:
    protocol = Pixels(Endpoint(**{"url": URL, "protocol": "pixels", "image_size": (1, 1), "max_batch": 2, **facts}))
    protocol.sends_files = files
    return RemoteModel(URL, protocol, sender, Declared(), retry_policy=QUICK, clock=FakeClock())


def journal(
    sender: ScriptedSender,
    ledger: Path | None = None,
    *,
    budget: int | None = None,
    max_requests: int | None = None,
    model: RemoteModel | None = None,
    **options: Any,
) -> RemoteJournal:
    ledger_rows = None if ledger is None else ReplyLedger(ledger)
    spent = Budget(budget, max_requests=max_requests)
    return RemoteJournal(model or remote(sender), ledger_rows, spent, **options)
