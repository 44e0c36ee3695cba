"""The plots of studies: what a prompt gains while one setting varies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import BLUE, GRAY, ORANGE, clean, legend_above, plain_text, short

__all__ = ["Point", "study_figure"]


@dataclass(frozen=True)
class Point:
    """One run of a study; accuracies of the test split, in [0, 1].

    Attributes:
        name: What was varied.
        before: Without a prompt.
        after: With the prompt; as before where none was kept.
        ci95: Interval of `after`.
        best_output: Without a prompt, with the best output transform; None where it was not scored.
        size: Of the template, in pixels.
        parameters: Of the prompt.
        none_kept: Why the run kept no prompt; None where it kept one.
    """

    name: str
    before: float
    after: float
    ci95: tuple[float, float]
    best_output: float | None = None
    size: int = 0
    parameters: int = 0
    none_kept: str | None = None


@plain_text
def study_figure(points: Sequence[Point], *, kind: str, varied: str, subject: str = "") -> Figure:
    """Draws accuracy with against without a prompt ("text"), accuracy by size ("sizes"), or both by name.

    Args:
        kind: Of the study.
        varied: What the axis of the varied setting says.
        subject: Model and data, above the plot.
    """
    rows = len(points) if kind not in ("text", "sizes") else 0
    figure = Figure(figsize=(6.8, max(4.4, 0.45 * rows + 2.0)), layout="constrained")
    axes = figure.subplots()
    {"text": _after_by_before, "sizes": _by_size}.get(kind, _before_and_after)(axes, points, varied)
    clean(axes)
    legend_above(axes)
    if subject:
        figure.suptitle(short(subject, 80), fontsize=10)
    return figure


def _after_by_before(axes: Axes, points: Sequence[Point], varied: str) -> None:
    axes.axline((0, 0), slope=1, color=GRAY, lw=1, label="no gain")
    names = []
    for number, point in enumerate(points):
        axes.plot([point.before] * 2, point.ci95, color=BLUE, lw=1.2, alpha=0.5)
        _mark(axes, (point.before, point.after), point, "with prompt (95% interval)" if number == 0 else None)
        axes.annotate(str(number + 1), (point.before, point.after), (6, 5), textcoords="offset points", fontsize=8)
        names.append(f"{number + 1}  {short(point.name, 32)}")
    # Beside the plot: names of texts are long, and points lie close together.
    axes.text(1.02, 1, "\n".join(names), transform=axes.transAxes, va="top", fontsize=8, linespacing=1.6)
    axes.set(xlabel=varied, ylabel="test accuracy with the prompt", xlim=(0, 1.02), ylim=(0, 1.02))


def _by_size(axes: Axes, points: Sequence[Point], varied: str) -> None:
    ordered = sorted(points, key=lambda point: point.size)
    places = [point.size for point in ordered]
    low, high = ([point.ci95[end] for point in ordered] for end in (0, 1))
    axes.fill_between(places, low, high, color=BLUE, alpha=0.15, lw=0)
    axes.plot(places, [point.after for point in ordered], "-", color=BLUE, label="with prompt (95% interval)")
    for point in ordered:
        _mark(axes, (point.size, point.after), point, None)
    axes.plot(places, [point.before for point in ordered], ":", color=GRAY, label="no prompt")
    best = [(point.size, point.best_output) for point in ordered if point.best_output is not None]
    if best:
        axes.plot(*zip(*best, strict=True), "--", color=GRAY, label="no prompt, best output")
    if points:
        axes.set_xscale("log")
    axes.set_xticks(places, [f"{point.size}\n{point.parameters:,}" for point in ordered], fontsize=8)
    axes.minorticks_off()
    axes.set(xlabel=varied, ylabel="test accuracy", ylim=(0, 1.02))


def _before_and_after(axes: Axes, points: Sequence[Point], varied: str) -> None:
    for row, point in enumerate(points):
        axes.plot(point.ci95, [row, row], color=BLUE, lw=5, alpha=0.2, solid_capstyle="butt")
        axes.plot([point.before, point.after], [row, row], color=GRAY, lw=1.4)
        axes.plot(point.before, row, "o", color=ORANGE, label="no prompt" if row == 0 else None)
        if point.best_output is not None:
            label = "no prompt, best output" if row == 0 else None
            axes.plot(point.best_output, row, "|", color=GRAY, ms=14, mew=2, label=label)
        _mark(axes, (point.after, row), point, "with prompt (95% interval)" if row == 0 else None)
    axes.set_yticks(range(len(points)), [short(point.name, 32) for point in points])
    axes.invert_yaxis()
    axes.set(xlabel="test accuracy", ylabel=varied, xlim=(-0.02, 1.02))


def _mark(axes: Axes, place: tuple[float, float], point: Point, label: str | None) -> None:
    """Draws the dot of a run, hollow where no prompt was kept."""
    axes.plot([], [], "o", color=BLUE, label=label)
    axes.plot(*place, "o", color=BLUE, mfc=BLUE if point.none_kept is None else "white")
    if point.none_kept is not None:
        axes.annotate(point.none_kept, place, (6, -10), textcoords="offset points", fontsize=7, color=GRAY)
