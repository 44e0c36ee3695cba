"""What is written about a benchmark: a table, a figure, a page."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ..files import write_bytes
from ..plots import save_png
from ..plots.benchmark import Mark, bars_figure, dots_figure, lines_figure, scatter_figure
from .benchmark import Benchmark, Cell
from .page import write_page
from .summary import Row, Summary
from .text import long_table, wide_table

__all__ = ["draw", "figure_of"]

Line = Mapping[str, Any]
_PICTURES = {"features": "tsne.png", "saliency": "gradcam.png", "alignment": "similarity.png"}
"""Drawing -> the file that `draw_pictures` writes."""


def draw(
    benchmark: Benchmark,
    cells: Sequence[tuple[Cell, str]],
    results: Mapping[str, Line],
    summary: Summary,
    failures: Sequence[Line],
    folder: Path,
    runs: Path,
) -> None:
    """Writes `table.md`, `figure.png` and `index.html`, and pictures of what was learned where those are the figure.

    Args:
        cells: Its cells, each with the key of its run.
        results: Key of a run -> its line.
        runs: Holds the folders of the runs.
    """
    text = f"{wide_table(summary)}\n\n{long_table(summary)}\n"
    write_bytes(folder / "table.md", text.encode())
    pictures = list(_pictures(benchmark, cells, results, folder, runs)) if benchmark.draw in _PICTURES else []
    figure = figure_of(benchmark, summary)
    if figure is not None:
        save_png(figure, folder / "figure.png")
    write_page(benchmark, summary, figure, pictures, results, cells, failures, folder)


def figure_of(benchmark: Benchmark, summary: Summary) -> Figure | None:
    """Returns the figure of a benchmark; None before anything was measured."""
    if benchmark.draw == "scatter":
        panels = {column: list(_points(summary, column, benchmark.y)) for column in benchmark.x}
        return scatter_figure(panels, y=benchmark.y) if any(panels.values()) else None
    kinds: dict[str, Callable[..., Figure]] = {"lines": lines_figure, "bars": bars_figure}
    marks = [mark for row in summary.rows for mark in _marks(benchmark, summary, row)]
    if not marks:
        return None
    return kinds.get(benchmark.draw, dots_figure)(marks, columns=summary.columns, axis=benchmark.axis)


def _marks(benchmark: Benchmark, summary: Summary, row: Row) -> Iterable[Mark]:
    if benchmark.draw == "lines":
        x, rest = row.parts.get("vary", ""), {key: name for key, name in row.parts.items() if key != "vary"}
        if row.is_mean and not benchmark.mean_over:
            return
    else:
        x, rest = row.parts.get("data", row.label), {key: name for key, name in row.parts.items() if key != "data"}
        if "data" not in row.parts:
            x, rest = row.label, {}
    columns = [name for name in summary.columns if benchmark.draw == "bars" or not benchmark.methods[name].minus]
    for column in columns:  # a difference is no accuracy, and stands in the tables
        if summary[row.label, column].is_share:
            yield from _mark(summary, row, column, panel=" · ".join(rest.values()), place=x)


def _mark(summary: Summary, row: Row, column: str, *, panel: str, place: str) -> Iterable[Mark]:
    value = summary[row.label, column]
    if value.mean is not None:
        interval = value.interval or (value.mean, value.mean)
        yield Mark(panel, place, column, value.mean, interval, value.published, row.is_mean)


def _points(summary: Summary, across: str, y: str) -> Iterable[tuple[float, Mark]]:
    for row in summary.rows:
        x = summary[row.label, across].mean
        if x is not None and not row.is_mean:
            yield from ((x, mark) for mark in _mark(summary, row, y, panel=across, place=row.label))


def _pictures(
    benchmark: Benchmark, cells: Sequence[tuple[Cell, str]], results: Mapping[str, Line], folder: Path, runs: Path
) -> Iterable[Path]:
    """Draws what the runs of the first seed have learned, method beside method, where their folders are at hand."""
    from ..report.figures.draw import draw_pictures

    drawn = [
        (cell.place, key)
        for cell, key in cells
        if cell.seed == benchmark.seeds[0] and key in results and (runs / key / "adapter.safetensors").exists()
    ]
    axes = dict.fromkeys(axis for place, _ in drawn for axis in place if axis != "methods")
    named = [axis for axis in axes if axis == "data" or len({place[axis] for place, _ in drawn}) > 1]
    groups: dict[str, dict[str, str]] = {}
    for place, key in drawn:
        group = " ".join(place[axis] for axis in named)
        groups.setdefault(group, {})[place["methods"].replace("/", "-")] = key
    for group, keys in groups.items():
        path = folder / f"{re.sub('[ /]', '-', group) or benchmark.draw}.png"
        with tempfile.TemporaryDirectory() as scratch:
            for name, key in keys.items():  # the pictures name a run after its folder
                Path(scratch, name).symlink_to((runs / key).absolute(), target_is_directory=True)
            draw_pictures([Path(scratch, name) for name in keys], out=Path(scratch, "pictures"))
            picture = Path(scratch, "pictures", _PICTURES[benchmark.draw])
            if picture.exists():
                write_bytes(path, picture.read_bytes())
                yield path
