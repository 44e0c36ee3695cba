"""The ladder of a run: accuracy by rung, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from .style import BLUE, GRAY, INK, ORANGE, clean, plain_text, short

__all__ = ["Rung", "ladder_figure"]


@dataclass(frozen=True)
class Rung:
    """One rung; None where it was not scored.

    Attributes:
        val: Validation accuracy, in [0, 1].
        test: Test accuracy, in [0, 1].
        ci95: Interval of the test accuracy.
    """

    title: str
    val: float | None
    test: float | None
    ci95: tuple[float, float] | None


@plain_text
def ladder_figure(rungs: Sequence[Rung]) -> Figure:
    """Draws one row per rung, the first on top: test accuracy with its interval, validation accuracy as a ring."""
    figure = Figure(figsize=(6.4, 0.9 + 0.62 * len(rungs)), layout="constrained")
    axes = figure.subplots()
    for row, rung in enumerate(rungs):
        text = "not scored" if rung.test is None and rung.val is None else ""
        if rung.ci95 is not None:
            axes.plot(rung.ci95, (row, row), "-", color=BLUE, lw=2.2, solid_capstyle="butt")
            axes.plot(rung.ci95, (row, row), "|", color=BLUE, ms=9, mew=2.2)
        if rung.test is not None:
            axes.plot(rung.test, row, "o", color=BLUE, ms=7)
            text = f"{rung.test:.1%}"
        if rung.val is not None:
            axes.plot(rung.val, row, "o", mfc="none", mec=ORANGE, ms=7, mew=1.5)
        axes.text(0.0, row - 0.3, short(rung.title, 48), va="center", fontsize=10, color=INK)
        axes.text(1.0, row - 0.3, text, va="center", ha="right", fontsize=10, color=INK if rung.test else GRAY)
    axes.set_yticks([])
    axes.set(xlim=(-0.01, 1.01), ylim=(len(rungs) - 0.6, -0.65))
    axes.set_xlabel("accuracy (dot: test with 95% interval; ring: validation)")
    clean(axes)
    axes.spines["left"].set_visible(False)
    return figure
