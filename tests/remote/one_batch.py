"""One batch of toy pictures, asked with a wire and a clock that are made up."""

from __future__ import annotations

from collections.abc import Callable

from pixprompt.core import EndpointError
from pixprompt.remote.calls.clock import Clock
from pixprompt.remote.messages import Fault, FaultKind, Incoming, Outgoing

from .toy_endpoint import AttemptRecorder, FakeClock, FakeSender, caller, pictures

LOST = Fault(FaultKind.LOST, "the connection broke")
UNSENT = Fault(FaultKind.UNSENT, "no connection")


def reply(code: int, body: bytes = b"sorry", **headers: str) -> Incoming:
    return Incoming(code, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def unlike() -> Callable[[Outgoing], Incoming]:
    """A 500 that never comes with the same body twice."""
    bodies = iter(range(10**6))
    return lambda _: reply(500, b"request" + b"!" * next(bodies))


def ask(
    sender: FakeSender, count: int = 2, clock: Clock | None = None, **inputs: object
) -> tuple[list[object], AttemptRecorder]:
    book = AttemptRecorder()
    try:
        return list(caller(sender, clock or FakeClock(), **inputs).query(pictures(count), book)), book
    except EndpointError as error:
        return [str(error)], book
    finally:
        assert book.is_legal
