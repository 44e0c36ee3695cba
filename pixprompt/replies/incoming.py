"""One reply over HTTP, as it came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Incoming"]


@dataclass(frozen=True)
class Incoming:
    """One HTTP reply that came whole.

    Attributes:
        headers: With names in lower case.
        body: Decompressed.
        seconds: From the first byte sent to the last one received.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float = 0.0
