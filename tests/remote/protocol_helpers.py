"""Small pictures and replies for tests of protocols, and how these are run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pixprompt.canvas.encoding import encoder_of
from pixprompt.remote.messages import Fault, FaultKind, Incoming, ItemFault, Outgoing, Picture
from pixprompt.remote.protocol import Protocol


def picture(seed: int, size: tuple[int, int] = (2, 3), encoding: str = "png") -> Picture:
    """A picture of noise; different seeds have different means."""
    encode, media_type = encoder_of(encoding)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return Picture(pixels, encode(pixels), media_type)


def answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Incoming:
    """A reply; anything but bytes is written as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Incoming(status, headers or {}, content)


def ask(protocol: Protocol, pictures: Sequence[Picture], server: Callable[[Outgoing], Incoming]) -> list[Any]:
    """One round: request, a server that is a function, answers as plain lists."""
    result = protocol.read(server(protocol.request(pictures)), len(pictures))
    return [item.tolist() if isinstance(item, np.ndarray) else item for item in result]


def fault(protocol: Protocol, incoming: Incoming, count: int = 2) -> Fault:
    """The fault that reading a reply raises."""
    try:
        result: list[Any] = protocol.read(incoming, count)
    except Fault as raised:
        return raised
    raise AssertionError(f"read as {result}")


def garbled(protocol: Protocol, body: object, count: int = 2, **headers: str) -> str:
    """The reason of the GARBLED fault that reading a reply raises."""
    incoming = answer(body, headers=headers)
    error = fault(protocol, incoming, count)
    assert error.kind is FaultKind.GARBLED
    assert error.incoming is incoming
    return error.reason


__all__ = ["Fault", "FaultKind", "ItemFault", "answer", "ask", "fault", "garbled", "picture"]
