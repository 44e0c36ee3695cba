"""What was queried, as a result says it, and what it cost."""

from __future__ import annotations

import math
from typing import Any

from ...core import ConfigError
from ...ledger.querier import Querier

__all__ = ["cost", "query_counts"]


def query_counts(querier: Querier, price_per_1000: float | None) -> dict[str, Any]:
    """Returns the `queries` of a result object."""
    totals = querier.totals()
    names = ("images", "requests", "cached", "retried")
    counts = {**{name: getattr(totals, name) for name in names}, "cost": cost(totals.images, price_per_1000)}
    if totals.in_doubt:
        counts |= {"in_doubt": totals.images_in_doubt, "skipped": totals.skipped}
    return counts


def cost(images: int, price_per_1000: float | None) -> float | None:
    """Returns the price of queries, in the currency of the price; None without a price.

    Raises:
        ConfigError: The price is negative or no number.
    """
    if price_per_1000 is not None and not 0 <= price_per_1000 < math.inf:
        raise ConfigError(f"a price per 1000 queries must be at least 0, got {price_per_1000}.")
    return None if price_per_1000 is None else round(images * price_per_1000 / 1000, 4)
