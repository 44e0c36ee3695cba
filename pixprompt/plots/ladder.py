"""The ladder of a run: accuracy by rung, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from .style import BLUE, GREY, ORANGE, clean, plain_text, short

__all__ = ["Rung", "ladder_figure"]


@dataclass(frozen=True)
class Rung:
    """One rung; None where it was not scored.

    Attributes:
        title: What it is called.
        val: Validation accuracy.
        test: Test accuracy.
        ci95: Interval of the test accuracy.
    """

    title: str
    val: float | None
    test: float | None
    ci95: tuple[float, float] | None


@plain_text
def ladder_figure(rungs: Sequence[Rung]) -> Figure:
    """Draws one row per rung, the first on top: test accuracy with its interval, validation accuracy as a ring."""
    figure = Figure(figsize=(9.8, 0.9 + 0.46 * len(rungs)), layout="constrained")
    axes = figure.subplots()
    for row, rung in enumerate(rungs):
        if rung.ci95 is not None:
            axes.plot(rung.ci95, (row, row), "-", color=BLUE, lw=2.2, solid_capstyle="butt")
            axes.plot(rung.ci95, (row, row), "|", color=BLUE, ms=9, mew=2.2)
        if rung.test is not None:
            axes.plot(rung.test, row, "o", color=BLUE, ms=7)
            axes.annotate(f"{rung.test:.1%}", (rung.test, row), (0, 8), textcoords="offset points", ha="center",
                          fontsize=9)  # fmt: skip
        if rung.val is not None:
            axes.plot(rung.val, row, "o", mfc="none", mec=ORANGE, ms=7, mew=1.5)
        if rung.val is None and rung.test is None:
            axes.text(0.01, row, "not scored", va="center", fontsize=9, color=GREY)
    axes.set_yticks(range(len(rungs)), [short(rung.title, 40) for rung in rungs])
    axes.set(xlim=(0, 1.02), ylim=(len(rungs) - 0.5, -0.65), xlabel="accuracy (dot: test with 95% interval; ring: val)")
    clean(axes)
    axes.tick_params(axis="y", length=0)
    return figure
