"""When a prompt search should stop before its budget is used up."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["worth_going_on"]


def worth_going_on(
    points: Sequence[tuple[int, float]],
    *,
    remaining: int,
    min_gain: float = 0.01,
    min_points: int = 6,
    min_queries: int = 2000,
    optimism: float = 1.645,
) -> bool:
    """Says whether the remaining queries can be expected to lower the validation loss enough.

    A least-squares line of the loss over the logarithm of the queries, through the later half of the validations, is
    followed to the end of the budget: stochastic search gains about as much from each doubling of its queries. The
    slope is taken `optimism` standard errors steeper. What the line then gains, relative to the
    present loss (its value at the last validation), must reach `min_gain`; if fewer queries remain than were spent, the
    same part of it.

    Args:
        points: Queries since the search began and the validation loss then, in order; losses that are not finite are
            passed over. A resumed run must give the same numbers: count what was answered, not what was paid.
        remaining: Queries left for the search.
        min_gain: The smallest share of the present loss that is worth doubling the queries.
        min_points: Validations without which nothing is decided, and the fewest that the line goes through; above 2.
        min_queries: Queries without which nothing is decided: most methods get worse before they get better.
        optimism: In standard errors, the one-sided 95% quantile by default; larger stops later.

    Returns:
        True to go on. Never with no queries left, always while too little is known.
    """
    if remaining <= 0:
        return False
    points_so_far = [(queries, loss) for queries, loss in points if math.isfinite(loss) and queries > 0]
    if len(points_so_far) < max(min_points, 3) or points_so_far[-1][0] < min_queries:
        return True
    later = points_so_far[-max(min_points, 3, math.ceil(len(points_so_far) / 2)) :]
    times = [math.log(queries) for queries, _ in later]
    present, slope, error = _line(times, [loss for _, loss in later])
    ratio = remaining / later[-1][0]
    gain = (optimism * error - slope) * math.log1p(ratio)
    return gain >= min_gain * min(ratio, 1.0) * abs(present)


def _line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """Returns the least-squares line's value at the last x, its slope and the slope's standard error."""
    middle, level = sum(x) / len(x), sum(y) / len(y)
    spread = sum((value - middle) ** 2 for value in x)
    if spread == 0:  # validations after the same number of queries: nothing speaks against the steepest fall
        return level, -math.inf, 0.0
    slope = sum((a - middle) * (b - level) for a, b in zip(x, y, strict=True)) / spread
    rest = sum((b - level - slope * (a - middle)) ** 2 for a, b in zip(x, y, strict=True))
    return level + slope * (x[-1] - middle), slope, math.sqrt(rest / (len(x) - 2) / spread)
