"""The plots of studies: what a prompt gains while one setting varies."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..files import write_bytes
from .style import BLUE, GREY, INK, ORANGE, clean, plain_text, short

__all__ = ["Point", "draw_study", "study_figure"]


@dataclass(frozen=True)
class Point:
    """One run of a study.

    Attributes:
        name: What was varied.
        before: Test accuracy without a prompt, in [0, 1].
        after: With the prompt.
        ci95: Interval of `after`.
        parameters: Learned numbers.
    """

    name: str
    before: float
    after: float
    ci95: tuple[float, ...]
    parameters: int


def draw_study(path: Path, points: Sequence[Point], *, kind: str, varied: str) -> None:
    """Writes a study's plot as PNG; see `study_figure`."""
    buffer = io.BytesIO()
    study_figure(points, kind=kind, varied=varied).savefig(buffer, format="png")
    write_bytes(path, buffer.getvalue())


@plain_text
def study_figure(points: Sequence[Point], *, kind: str, varied: str) -> Figure:
    """Draws gain against accuracy ("text"), accuracy against learned numbers ("sizes"), or before and after by name.

    Args:
        points: One per run.
        kind: Of the study.
        varied: What the axis of the varied setting says.
    """
    rows = len(points) if kind not in ("text", "sizes") else 0
    figure = Figure(figsize=(6.8, max(3.8, 0.45 * rows + 1.4)), layout="constrained")
    axes = figure.subplots()
    {"text": _gains, "sizes": _by_size}.get(kind, _before_and_after)(axes, points, varied)
    clean(axes)
    return figure


def _gains(axes: Axes, points: Sequence[Point], varied: str) -> None:
    axes.axhline(0, color=GREY, lw=1)
    for point in points:
        low, high = (100 * (end - point.before) for end in point.ci95)
        axes.plot([point.before] * 2, [low, high], color=BLUE, lw=1.2, alpha=0.5)
        axes.plot(point.before, 100 * (point.after - point.before), "o", color=BLUE)
        axes.annotate(
            short(point.name, 32),
            (point.before, 100 * (point.after - point.before)),
            xytext=(5, 4),
            textcoords="offset points",
            fontsize=8,
            color=INK,
        )
    axes.margins(x=0.3)
    axes.set(xlabel=varied, ylabel="gain of the prompt (points)")


def _by_size(axes: Axes, points: Sequence[Point], varied: str) -> None:
    ordered = sorted(points, key=lambda point: point.parameters)
    places = [point.parameters for point in ordered]
    axes.fill_between(
        places, [point.ci95[0] for point in ordered], [point.ci95[1] for point in ordered], color=BLUE, alpha=0.15, lw=0
    )
    axes.plot(places, [point.after for point in ordered], "o-", color=BLUE, label="with prompt (95% interval)")
    axes.plot(places, [point.before for point in ordered], "--", color=GREY, label="no prompt")
    axes.set_xscale("log")
    axes.set(xlabel=varied, ylabel="test accuracy", ylim=(0, 1.02))
    axes.legend(frameon=False, fontsize="small")


def _before_and_after(axes: Axes, points: Sequence[Point], varied: str) -> None:
    for row, point in enumerate(points):
        axes.plot(point.ci95, [row, row], color=BLUE, lw=5, alpha=0.2, solid_capstyle="butt")
        axes.plot([point.before, point.after], [row, row], color=GREY, lw=1.4)
        axes.plot(point.before, row, "o", color=ORANGE, label="no prompt" if row == 0 else None)
        axes.plot(point.after, row, "o", color=BLUE, label="with prompt (95% interval)" if row == 0 else None)
    axes.set_yticks(range(len(points)), [short(point.name, 32) for point in points])
    axes.invert_yaxis()
    axes.set(xlabel="test accuracy", ylabel=varied, xlim=(-0.02, 1.02))
    if points:
        axes.legend(frameon=False, fontsize="small", loc="best")
