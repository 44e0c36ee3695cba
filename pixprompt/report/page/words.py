"""Numbers in words that a reader takes in at once."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["count", "duration", "number", "percent", "points"]

NOTHING = "–"


def percent(value: float | None) -> str:
    """Returns a share as a percentage with one decimal."""
    return NOTHING if value is None else f"{value:.1%}"


def points(value: float) -> str:
    """Returns a difference of shares in percentage points, with its sign."""
    return f"{100 * value:+.1f} points".replace("-", "−")


def count(value: float | None) -> str:
    """Returns a whole number with separators."""
    return NOTHING if value is None else f"{round(value):,}".replace(",", "\u202f")


def number(value: Any, digits: int) -> str:
    """Returns a number with so many significant digits; what is no number as it is."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return NOTHING if value is None else str(value)
    if isinstance(value, int) or not math.isfinite(value):
        return count(value) if isinstance(value, int) else str(value)
    return f"{value:.{digits}g}"


def duration(seconds: float) -> str:
    """Returns seconds as h, min and s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
