"""What a reply means before its answers are looked at: fine, too fast, busy or refused; and how long to wait."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from ..messages import Fault, FaultKind, Incoming

__all__ = ["excerpt", "fault_of", "kind_of", "retry_after"]

_BUSY = (408, 425)
_LONGEST_WAIT = 120.0
_EXCERPT = 200
_EPOCH = 1e9
"""A number above this is a date in seconds since 1970, not a time to wait."""
_RESET = re.compile(r"\b(?:reset|t)\s*=\s*([0-9.]+)")
_PARTS = re.compile(r"([0-9.]+)(ms|h|m|s)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def fault_of(incoming: Incoming, now: float) -> Fault | None:
    """Says what is wrong with a reply, by its status.

    Args:
        incoming: The reply, without credentials.
        now: Seconds since 1970.

    Returns:
        None for 2xx, whatever the body says: that is for the protocol to read.
    """
    kind = kind_of(incoming.status)
    if kind is None:
        return None
    text = excerpt(incoming)
    reason = f"HTTP {incoming.status} {_phrase(incoming.status)}".rstrip() + (f": {text}" if text else "")
    wait = retry_after(incoming.headers, now, limits=kind is FaultKind.THROTTLED)
    wait = _loading(incoming) if wait is None else wait
    return Fault(kind, reason, retry_after=wait, incoming=incoming)


def retry_after(
    headers: Mapping[str, str], now: float, *, longest: float = _LONGEST_WAIT, limits: bool = False
) -> float | None:
    """Reads how long the endpoint asks to wait.

    Args:
        headers: Names in lower case.
        now: Seconds since 1970; the reply's own Date goes before it, so that clocks need not agree.
        longest: More than this is taken as this.
        limits: Whether rate limit headers count, which many endpoints send with every reply.

    Returns:
        Seconds, or None where nothing readable is said.
    """
    now = _date(headers.get("date", "")) or now
    waits = [_scaled(headers.get("retry-after-ms", ""), 0.001), _wait(headers.get("retry-after", ""), now)]
    if limits:
        waits += [_wait(headers.get(name, ""), now) for name in ("ratelimit-reset", "x-ratelimit-reset")]
        waits.append(_scaled(next(iter(_RESET.findall(headers.get("ratelimit", ""))), "")))
    return next((min(seconds, longest) for seconds in waits if seconds is not None), None)


def excerpt(incoming: Incoming) -> str:
    """Returns the beginning of a text body in one line, for messages, the cause of a traceback; nothing of others."""
    text = incoming.body.decode("utf-8", "replace")
    if text.lstrip().startswith("Traceback"):
        text = text.rstrip().rpartition("\n")[2]
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    if not line or line.count("\ufffd") * 10 > len(line):
        return f"{len(incoming.body)} bytes" if incoming.body else ""
    return line if len(line) <= _EXCERPT else line[: _EXCERPT - 3] + "..."


def kind_of(status: int) -> FaultKind | None:
    """Returns how a request with a reply of this status failed; None for 2xx."""
    if 200 <= status < 300:
        return None
    if status == 429:
        return FaultKind.THROTTLED
    if status >= 500 or status in _BUSY:
        return FaultKind.BUSY
    return FaultKind.REFUSED if status >= 300 else FaultKind.LOST  # 1xx: the answer itself never came


def _loading(incoming: Incoming) -> float | None:
    """Seconds until a model is loaded, as Hugging Face's endpoints say them in the body."""
    try:
        body = json.loads(incoming.body) if incoming.status == HTTPStatus.SERVICE_UNAVAILABLE else None
    except (ValueError, RecursionError):
        return None
    seconds = body.get("estimated_time") if isinstance(body, dict) else None
    number = _scaled(str(seconds)) if type(seconds) in (int, float) else None
    return None if number is None else min(number, _LONGEST_WAIT)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _wait(text: str, now: float) -> float | None:
    """Seconds of "30", "1m30s", a date, or seconds since 1970."""
    seconds = _scaled(text)
    if seconds is None:
        parts = _PARTS.findall(text)
        whole = parts and "".join(number + unit for number, unit in parts) == text.strip()
        pieces = [_scaled(number, _SECONDS[unit]) for number, unit in parts] if whole else [None]
        seconds = None if None in pieces else sum(piece for piece in pieces if piece)
    if seconds is None:
        date = _date(text)
        seconds = None if date is None else date - now
    elif seconds > _EPOCH:
        seconds -= now
    return seconds if seconds is not None and seconds >= 0 else None


def _scaled(text: str, unit: float = 1.0) -> float | None:
    try:
        seconds = float(text) * unit
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _date(text: str) -> float | None:
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
