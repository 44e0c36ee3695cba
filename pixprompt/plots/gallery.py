"""Pictures in rows and columns: what several methods make of the same images."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from .heat import heat_key as heat_colors
from .style import GRAY, GRID, INK, Pixels, bare, plain_text

__all__ = ["WHITE", "Cell", "Column", "Mark", "gallery_figure", "heat_pixels"]

WHITE = "#ffffff"
_WIDTH, _HEIGHT = 2.1, 2.3
_TITLE, _REASON = 26, 30
"""Signs in a line."""


@dataclass(frozen=True)
class Mark:
    """A box in a picture.

    Attributes:
        row: Of the token that is marked.
        column: Of the token that is marked.
        grid: Tokens (down, across) that the picture is divided into.
        outset: Share of the token by which the box is larger on each side, so that several boxes can be seen.
    """

    row: int
    column: int
    grid: tuple[int, int]
    color: str
    outset: float = 0.0


@dataclass(frozen=True)
class Column:
    """What stands above the pictures of a column."""

    title: str
    color: str = INK


@dataclass(frozen=True, eq=False)
class Cell:
    """One picture.

    Attributes:
        pixels: (H, W, 3); None where there is none.
        caption: Below the picture, line by line.
        reason: Why there is no picture.
        marks: Boxes.
    """

    pixels: Pixels | None
    caption: str = ""
    color: str = INK
    reason: str = ""
    marks: tuple[Mark, ...] = ()


def heat_pixels(heat: npt.NDArray[np.floating]) -> Pixels:
    """Returns a map (h, w) as colours (h, w, 3), from its smallest value in black to its largest in yellow."""
    low, high = float(heat.min()), float(heat.max())
    scaled = (heat - low) / (high - low) if high > low else np.zeros_like(heat)
    pixels: Pixels = (colormaps["inferno"](scaled)[..., :3] * 255).round().astype(np.uint8)
    return pixels


@plain_text
def gallery_figure(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    note: str = "",
    *,
    heat_key: str = "",
    map_key: str = "",
) -> Figure:
    """Draws pictures in rows.

    Args:
        columns: From the left.
        rows: From the top, each with one cell per column; at least one row.
        note: Below all.
        heat_key: What the colours of `heat_overlay` say; a scale of them is drawn. "" where there are none.
        map_key: The same for those of `heat_pixels`.
    """
    titles = [textwrap.fill(column.title, _TITLE, break_on_hyphens=False) for column in columns]
    lines = max(title.count("\n") for title in titles)
    size = (_WIDTH * len(columns), _HEIGHT * len(rows) + 0.5 + 0.2 * lines)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    for number, (panels, cells) in enumerate(zip(grid, rows, strict=True)):
        for axes, column, title, cell in zip(panels, columns, titles, cells, strict=True):
            bare(axes, "" if number else title, color=column.color)
            _draw(axes, cell)
    for label, colors, ends in (
        (heat_key, ListedColormap(heat_colors()[0] / 255.0), ("0", "1")),
        (map_key, colormaps["inferno"], ("smallest", "largest")),
    ):
        if label:
            _draw_key(figure, grid, label, colors, ends)
    if note:
        figure.supxlabel(textwrap.fill(note, 36 * len(columns)), fontsize=8, color=GRAY)
    return figure


def _draw_key(figure: Figure, grid: npt.NDArray[Any], label: str, colors: Colormap, ends: tuple[str, str]) -> None:
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), colors), ax=grid.flatten().tolist(), orientation="horizontal",
                          shrink=0.5, aspect=40, pad=0.01)  # fmt: skip
    bar.set_ticks([0, 1], labels=ends)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=8)


def _draw(axes: Axes, cell: Cell) -> None:
    if cell.caption:
        axes.set_xlabel(cell.caption, fontsize=8, color=cell.color)
    if cell.pixels is None:
        axes.set_aspect("equal", adjustable="box")
        axes.spines[:].set_color(GRID)
        text = textwrap.fill(cell.reason, _REASON)
        axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=6.5, color=GRAY, transform=axes.transAxes)
        return
    axes.imshow(cell.pixels, interpolation="nearest" if min(cell.pixels.shape[:2]) < 64 else None)
    axes.spines[:].set_visible(False)
    for mark in cell.marks:
        axes.add_patch(_box(mark, cell.pixels.shape[:2]))


def _box(mark: Mark, size: tuple[int, ...]) -> Rectangle:
    height, width = (length / count for length, count in zip(size, mark.grid, strict=True))
    left, top = (mark.column - mark.outset) * width - 0.5, (mark.row - mark.outset) * height - 0.5
    scale = 1 + 2 * mark.outset
    halo = withStroke(linewidth=2.6, foreground=INK if mark.color == WHITE else WHITE)  # seen on any ground
    box = Rectangle((left, top), scale * width, scale * height, fill=False, edgecolor=mark.color, lw=1.4)
    box.set_path_effects([halo])
    return box
