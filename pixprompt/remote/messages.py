"""What travels between a protocol, the transport and the retry loop: pictures, requests, replies, faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from ..replies.incoming import Incoming

__all__ = ["Fault", "FaultKind", "Incoming", "ItemFault", "Outgoing", "Picture"]


@dataclass(frozen=True, eq=False)
class Picture:
    """One image as it is sent.

    Attributes:
        pixels: (H, W, 3) uint8.
        content: The same as a file, bytes of `media_type`.
        media_type: "image/png" or "image/jpeg".
    """

    pixels: npt.NDArray[np.uint8]
    content: bytes
    media_type: str


@dataclass(frozen=True)
class Outgoing:
    """One HTTP request; its headers hold no credentials, those are added by the transport.

    Attributes:
        body: Empty for a GET.
        headers: Content-Type and the like.
        method: "POST" or "GET".
    """

    url: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"


class FaultKind(StrEnum):
    """How a request failed; decides on retry and on what was possibly billed."""

    UNSENT = "unsent"
    """It never reached the endpoint (name, connection, TLS): not billed."""
    THROTTLED = "throttled"
    """The endpoint asks for a slower pace (429, or its own word for it): not billed."""
    BUSY = "busy"
    """The endpoint failed or is overloaded (5xx, 408, not ready): may be billed."""
    LOST = "lost"
    """It was sent and no whole answer came (drop, timeout, truncation): may be billed."""
    GARBLED = "garbled"
    """An answer came that cannot be read: billed."""
    REFUSED = "refused"
    """The endpoint says that the request or the credentials are wrong (4xx): not billed, and no retry helps."""


class Fault(Exception):
    """One attempt failed.

    Args:
        reason: For a person; never holds a credential.
        retry_after: Seconds that the endpoint asks to wait, if it says so.
        incoming: The reply, where there was one.
    """

    def __init__(
        self,
        kind: FaultKind,
        reason: str,
        *,
        retry_after: float | None = None,
        incoming: Incoming | None = None,
    ) -> None:
        super().__init__(reason)
        self.kind, self.reason, self.retry_after, self.incoming = kind, reason, retry_after, incoming

    @property
    def billed(self) -> bool:
        """Whether it may have been billed."""
        return self.kind in (FaultKind.BUSY, FaultKind.LOST, FaultKind.GARBLED)


@dataclass(frozen=True)
class ItemFault:
    """One image of a request that was otherwise answered failed."""

    reason: str
    kind: FaultKind = FaultKind.BUSY
