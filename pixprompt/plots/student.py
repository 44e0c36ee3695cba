"""A local student in front of a paid model: accuracy against what a prediction costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from .style import BLUE, GRAY, ORANGE, clean, legend_above, plain_text

__all__ = ["student_figure"]


@plain_text
def student_figure(facts: Mapping[str, Any], per_prediction: float, price_per_1000: float | None) -> Figure:
    """Draws accuracy against queries per prediction, or against the cost of 1000 predictions where there is a price.

    Args:
        facts: The `student` of a result object.
        per_prediction: Queries of the paid model alone.
        price_per_1000: Of 1000 queries; None for none.
    """
    figure = Figure(figsize=(5.6, 3.9), layout="constrained")
    axes = figure.subplots()
    unit = 1.0 if price_per_1000 is None else price_per_1000
    curve, first = facts["curve"], facts["first"]
    for name, title, color in (("held_out", "held-out images", GRAY), ("test", "test images", BLUE)):
        points = [(each["per_prediction"] * unit, each[name]) for each in curve if each[name] is not None]
        if points:
            axes.plot(*zip(*points, strict=True), "o-", ms=3, lw=1.4, color=color, label=title)
    chosen = first["held_out"] if first["test"] is None else first["test"]
    axes.plot(first["per_prediction"] * unit, chosen, "o", ms=9, mfc="none", mec=ORANGE, mew=2, label="chosen")
    axes.axvline(per_prediction * unit, color=GRAY, ls=":", lw=1.2, label="the paid model alone")
    axes.set(
        xlabel="queries per prediction" if price_per_1000 is None else "cost of 1000 predictions",
        ylabel="accuracy",
    )
    figure.suptitle(f"{facts['model']} first, the paid model when it is unsure", fontsize=10)
    axes.set_xlim(left=-0.02 * per_prediction * unit)
    clean(axes)
    legend_above(axes)
    return figure
