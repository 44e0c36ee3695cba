"""What a run will cost, before it starts."""

from __future__ import annotations

import math
from typing import Any

from ..core import ConfigError
from ..models import Counted
from .build import Parts

__all__ = ["cost", "plan", "query_counts"]


def plan(parts: Parts) -> dict[str, Any]:
    """Returns parameters, images per split, queries by purpose and cost of a run; asks the model nothing."""
    config, data = parts.config, parts.data
    train, val, test = len(data.train), len(data.val), len(data.test)
    queries = {
        "no_prompt": train + val + test,
        "first_prompt": train if parts.output().fits and not parts.starts_plain else 0,
        "training": (config.epochs or 0) * train,
        "selection": (config.epochs or 0) * val,
        "prompt_float": val + test,
        "prompt_png": val + test,
    }
    total = sum(queries.values())
    return {
        "config": config.to_json(),
        "counts": {"train": train, "val": val, "test": test},
        "parameters": parts.template.num_params,
        "queries": {**queries, "total": total},
        "cost": cost(total, config.price_per_1000),
    }


def query_counts(counted: Counted, price_per_1000: float | None) -> dict[str, Any]:
    """Returns the `queries` of a result object."""
    images, requests = counted.images, counted.requests
    return {"images": images, "requests": requests, "cached": 0, "retried": 0, "cost": cost(images, price_per_1000)}


def cost(images: int, price_per_1000: float | None) -> float | None:
    """Returns the price of queries, in the currency of the price; None without a price.

    Raises:
        ConfigError: The price is negative or no number.
    """
    if price_per_1000 is not None and not 0 <= price_per_1000 < math.inf:
        raise ConfigError(f"a price per 1000 queries must be at least 0, got {price_per_1000}.")
    return None if price_per_1000 is None else round(images * price_per_1000 / 1000, 4)
