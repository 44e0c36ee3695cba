"""The templates of the page, which escape whatever they show, and how numbers and pictures enter them."""

from __future__ import annotations

import base64
import hashlib
import io
import math
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from ...canvas import Pixels

__all__ = ["count", "duration", "environment", "jpeg_uri", "number", "percent", "png_uri", "points", "svg_uri"]

_MISSING = "–"


@cache
def environment() -> Environment:
    """Returns the environment of the templates beside this file."""
    jinja = Environment(
        loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    jinja.filters |= {
        "count": count,
        "duration": duration,
        "interval": interval,
        "number": number,
        "percent": percent,
        "png_uri": png_uri,
        "points": points,
    }
    style = _read("style.css")
    jinja.globals |= {
        "style": Markup(style),
        "style_digest": base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii"),
    }
    return jinja


def _read(name: str) -> str:
    return files(__package__).joinpath("templates", name).read_text("utf-8")


def percent(value: float | None) -> str:
    """Returns a share as a percentage with one decimal."""
    return _MISSING if value is None else f"{value:.1%}"


def interval(ends: tuple[float, float] | None) -> str:
    """Returns an interval of shares as percentages."""
    return _MISSING if ends is None else f"{ends[0]:.1%} – {ends[1]:.1%}"


def points(value: float) -> str:
    """Returns a difference of shares in percentage points, with its sign."""
    return f"{100 * value:+.1f}".replace("-", "−")


def count(value: float | None) -> str:
    """Returns a whole number with narrow spaces between the thousands."""
    return _MISSING if value is None else f"{round(value):,}".replace(",", "\u202f")


def number(value: Any, digits: int) -> str:
    """Returns a number with so many significant digits; what is no number as it is."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _MISSING if value is None else str(value)
    if isinstance(value, int) or not math.isfinite(value):
        return count(value) if isinstance(value, int) else str(value)
    return f"{value:.{digits}g}".replace("-", "−")


def duration(seconds: float) -> str:
    """Returns seconds as h, min and s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def svg_uri(text: str) -> str:
    """Returns SVG as a data URI."""
    return "data:image/svg+xml;base64," + base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")


def png_uri(picture: Pixels | bytes) -> str:
    """Returns pixels (H, W, 3), exact, or the content of a PNG file as a data URI."""
    if not isinstance(picture, bytes):
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG", optimize=True)
        picture = buffer.getvalue()
    return "data:image/png;base64," + base64.b64encode(picture).decode("ascii")


def jpeg_uri(pixels: Pixels) -> str:
    """Returns pixels (H, W, 3) as the data URI of a JPEG of high quality, many times smaller than the PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
