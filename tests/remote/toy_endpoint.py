"""A protocol of a few lines, the model behind it, and stand-ins for the time, the wire and the ledger."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pixprompt.remote.calls.clock import Clock, Stopped
from pixprompt.remote.calls.retry import Caller, RetryPolicy
from pixprompt.remote.messages import Fault, FaultKind, Incoming, ItemFault, Outgoing, Picture
from pixprompt.remote.protocol import Endpoint, Protocol
from pixprompt.replies.parse import Reply

URL = "http://127.0.0.1:9/model"
QUICK = RetryPolicy(timeout=60.0, first_wait=0.01, longest_wait=0.02)


class ToyProtocol(Protocol):
    """{"images": [hex, ...]} -> {"answers": [{label: score} or {"error": reason}, ...]}."""

    def request(self, pictures: Sequence[Picture]) -> Outgoing:
        body = json.dumps({"images": [picture.content.hex() for picture in pictures]}).encode()
        return Outgoing(self.endpoint.url, body, {"Content-Type": "application/json"})

    def read(self, incoming: Incoming, count: int) -> list[Reply | ItemFault]:
        try:
            answers = json.loads(incoming.body)["answers"]
        except (ValueError, KeyError) as error:
            raise Fault(FaultKind.GARBLED, f"no JSON with answers: {error}") from None
        return [self._item(answer) for answer in answers]

    def _item(self, answer: dict[str, float | str]) -> Reply | ItemFault:
        if "error" in answer:
            return ItemFault(str(answer["error"]), FaultKind(str(answer.get("kind", "busy"))))
        scores = {label: float(score) for label, score in answer.items()}
        if not all(np.isfinite(score) for score in scores.values()):
            raise Fault(FaultKind.GARBLED, "NaN or infinity")
        return scores


def picture(number: int) -> Picture:
    return Picture(np.full((1, 1, 3), number, np.uint8), bytes([number]), "image/png")


def pictures(count: int) -> list[Picture]:
    return [picture(number) for number in range(count)]


def scores(number: int) -> dict[str, float]:
    return {"cat": number / 255, "dog": 1 - number / 255}


def answer(body: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
    """The right answer, for a fault server."""
    numbers = [int(content, 16) for content in json.loads(body)["images"]]
    reply = json.dumps({"answers": [scores(number) for number in numbers]}).encode()
    return 200, {"Content-Type": "application/json"}, reply


class FakeClock(Clock):
    """Waiting takes no time; the hours pass all the same."""

    def __init__(self) -> None:
        self.time = 0.0
        self.waits: list[float] = []
        self._lock = threading.Lock()

    def now(self) -> float:
        return self.time

    def date(self) -> float:
        return 1_700_000_000.0 + self.time

    def wait(self, seconds: float, stop: threading.Event) -> None:
        if stop.is_set():
            raise Stopped("stopped")
        with self._lock:
            self.waits.append(seconds)
            self.time += max(seconds, 0.0)


Step = Incoming | BaseException | Callable[[Outgoing], Incoming]


class FakeSender:
    """Plays replies and faults, then answers rightly."""

    def __init__(self, script: Iterable[Step] = (), *, for_ever: Step | None = None) -> None:
        self.script, self.for_ever = list(script), for_ever
        self.bodies: list[bytes] = []

    def send(self, outgoing: Outgoing, *, timeout: float) -> Incoming:
        self.bodies.append(outgoing.body)
        step = self.script.pop(0) if self.script else self.for_ever
        if isinstance(step, BaseException):
            raise step
        if step is None:
            return right(outgoing)
        return step if isinstance(step, Incoming) else step(outgoing)


def right(outgoing: Outgoing) -> Incoming:
    code, headers, body = answer(outgoing.body, {})
    return Incoming(code, headers, body)


def failing(*numbers: int, kind: str = "busy") -> Callable[[Outgoing], Incoming]:
    """A reply in which some images of the request failed."""

    def reply(outgoing: Outgoing) -> Incoming:
        body = json.loads(right(outgoing).body)
        for number in numbers:
            body["answers"][number] = {"error": f"no luck with {number}", "kind": kind}
        return Incoming(200, {}, json.dumps(body).encode())

    return reply


@dataclass
class AttemptRecorder:
    """A ledger that remembers, and knows what is legal."""

    budget: int | None = None
    events: list[tuple[str, int]] = field(default_factory=list)
    positions: dict[int, list[int]] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, positions: Sequence[int]) -> int:
        with self._lock:
            if self.budget is not None:
                if len(positions) > self.budget:
                    raise BudgetSpent("nothing left")
                self.budget -= len(positions)
            request = len(self.positions)
            self.positions[request] = list(positions)
            self.events.append(("begin", request))
            return request

    def received(self, request: int, incoming: Incoming, replies: Sequence[Reply | ItemFault]) -> None:
        with self._lock:
            if len(replies) != len(self.positions[request]):
                raise ValueError("not one answer per image")
            self.events.append(("received", request))

    def failed(self, request: int, fault: Fault) -> None:
        with self._lock:
            self.events.append(("failed", request))
            self.kinds.append(fault.kind.value)
            self.faults.append(fault)

    @property
    def is_legal(self) -> bool:
        """Each request was begun, and then ended exactly once, before the same batch began the next one."""
        requests = [request for word, request in self.events if word == "begin"]
        ended = [request for word, request in self.events if word != "begin"]
        place = {event: index for index, event in reversed(list(enumerate(self.events)))}
        ends = {request: place.get(("received", request), place.get(("failed", request), -1)) for request in requests}
        return sorted(ended) == requests and all(ends[request] > place["begin", request] for request in requests)


class BudgetSpent(Exception):
    pass


def caller(sender: object, clock: Clock | None = None, *, url: str = URL, seed: int = 0, **inputs: object) -> Caller:
    endpoint = Endpoint(url, "toy")
    generator = np.random.default_rng(seed)
    return Caller(ToyProtocol(endpoint), sender, generator=generator, clock=clock, **inputs)  # type: ignore[arg-type]
