"""What every picture shares: colours that follow a page's light or dark theme, plain text, SVG that stands alone."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..files import write_bytes

__all__ = [
    "BLUE",
    "GRAY",
    "GRID",
    "INK",
    "LINES",
    "ORANGE",
    "Pixels",
    "bare",
    "clean",
    "legend_above",
    "plain_text",
    "save_png",
    "short",
    "to_svg",
]

Pixels = npt.NDArray[np.uint8]
INK, GRAY, GRID = "#1f2430", "#7d8590", "#dfe3e8"
BLUE, ORANGE = "#2563a8", "#d9701c"
LINES = (BLUE, ORANGE, "#2f8f5b", "#8a56c8", "#c8385a", "#12909c", "#a8741a", "#6d7fd6", "#7f8c3a", "#c05fa8")
"""One colour per run or class, in order; readable on white and on black."""
_DARK = {INK: "#e6e9ee", GRAY: "#98a1ad", GRID: "#343b46", BLUE: "#6aaef2", ORANGE: "#f09a55"}
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_DPI = 150
"""Fine enough for a slide."""
P = ParamSpec("P")
T = TypeVar("T")


def plain_text(draw: Callable[P, T]) -> Callable[P, T]:
    """Draws class names as they are: no formulas between dollar signs, no remark on signs that the font lacks."""

    @wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        inks = rc_context(
            {
                "text.parse_math": False,
                "text.color": INK,
                "axes.labelcolor": INK,
                "axes.edgecolor": GRAY,
                "xtick.color": INK,
                "ytick.color": INK,
            }
        )
        with inks, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"Glyph .* missing")
            return draw(*args, **kwargs)

    return wrapped


@plain_text
def to_svg(figure: Figure) -> str:
    """Returns a figure as SVG without background whose colours follow the viewer's theme; the same bytes every time."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context({"svg.hashsalt": "pixprompt", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing, bbox_inches="tight", pad_inches=0.05)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for color in _DARK:
        text = text.replace(color, f"var(--c{color[1:]})")
    return re.sub(r"(<svg[^>]*>)", lambda match: match[1] + _theme(), text, count=1)


@plain_text
def save_png(figure: Figure, path: Path, *, dpi: int = _DPI) -> None:
    """Writes a figure as a PNG, at once and whole.

    Raises:
        PixpromptError: It cannot be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    write_bytes(path, buffer.getvalue())


def _theme() -> str:
    light = "".join(f"--c{color[1:]}:{color};" for color in _DARK)
    dark = "".join(f"--c{color[1:]}:{other};" for color, other in _DARK.items())
    return f"<style>:root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"


def clean(axes: Axes) -> None:
    """Leaves two axes and a quiet grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=GRID, lw=0.8)
    axes.set_axisbelow(True)


def legend_above(axes: Axes) -> None:
    """Puts the legend above the axes, where it hides no data; none where nothing has a name."""
    handles, names = axes.get_legend_handles_labels()
    if names:
        columns = 2 if max(map(len, names)) > 12 or len(names) == 2 else min(len(names), 4)
        axes.legend(handles, names, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False, fontsize=8.5)


def bare(axes: Axes, title: str, color: str = INK) -> None:
    """Turns axes into a frame for a picture."""
    axes.set_title(title, fontsize=9, color=color)
    axes.set_xticks([])
    axes.set_yticks([])


def short(name: str, length: int = 14) -> str:
    """Cuts a name that is too long for its place, and replaces what no font can draw and no SVG can hold."""
    name = _NO_TEXT.sub("\ufffd", name)
    return name if len(name) <= length else name[: length - 1] + "…"
