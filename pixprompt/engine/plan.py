"""What a run will cost, before it starts."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ..core import ConfigError
from ..models import Counted, Journaled, probe_queries
from .allocation import Allocation, allocate
from .build import Parts
from .presets import query_budget
from .starts import num_starts

__all__ = ["allocation_of", "check_budget", "cost", "plan", "query_counts"]


def plan(parts: Parts) -> dict[str, Any]:
    """Returns parameters, images per split, queries by purpose and cost of a run; asks the model nothing more."""
    config, data = parts.config, parts.data
    queries = allocation_of(parts).to_json() if parts.by_answers else _gradient_queries(parts)
    total = queries.pop("total", None) or sum(queries.values())
    return {
        "config": config.to_json(),
        "counts": {"train": len(data.train), "val": len(data.val), "test": len(data.test)},
        "parameters": parts.template.num_params,
        "queries": {**queries, "total": total},
        "cost": cost(total, config.price_per_1000),
    }


def allocation_of(parts: Parts) -> Allocation:
    """Returns how the budget of a run by answers is divided."""
    config, data = parts.config, parts.data
    probed = probe_queries(parts.model)
    plan = allocate(
        max(0, (config.budget or 0) - probed),
        num_train=min(len(data.train), config.head_images or len(data.train)),
        num_val=len(data.val),
        num_test=len(data.test),
        has_prompt=config.method != "none",
        num_classes=len(data.classes),
        num_starts=num_starts(parts),
        test_images=config.test_images,
    )
    return replace(plan, probe=probed)


def check_budget(parts: Parts) -> None:
    """Makes sure that a run by gradients, whose queries are known beforehand, stays within a budget, if it has one.

    Raises:
        ConfigError: It does not.
    """
    if parts.config.budget is None and parts.config.max_cost is None:
        return
    wanted, allowed = sum(_gradient_queries(parts).values()), query_budget(parts.config)
    if wanted > allowed:
        raise ConfigError(
            f"learning by gradients as configured asks {wanted} queries, the budget is {allowed}. Leave out "
            "--optimizer to learn from answers within it, or take fewer --epochs or --shots."
        )


def _gradient_queries(parts: Parts) -> dict[str, int]:
    config, data = parts.config, parts.data
    train, val, test = len(data.train), len(data.val), len(data.test)
    return {
        "no_prompt": train + val + test,
        "first_prompt": train if parts.output().fits and not parts.starts_plain else 0,
        "training": (config.epochs or 0) * train,
        "selection": (config.epochs or 0) * val,
        "prompt_float": val + test,
        "prompt_png": val + test,
    }


def query_counts(counted: Counted | Journaled, price_per_1000: float | None, *, cached: int = 0) -> dict[str, Any]:
    """Returns the `queries` of a result object."""
    images, requests = counted.images, counted.requests
    paid = cost(images, price_per_1000)
    return {"images": images, "requests": requests, "cached": cached, "retried": 0, "cost": paid}


def cost(images: int, price_per_1000: float | None) -> float | None:
    """Returns the price of queries, in the currency of the price; None without a price.

    Raises:
        ConfigError: The price is negative or no number.
    """
    if price_per_1000 is not None and not 0 <= price_per_1000 < math.inf:
        raise ConfigError(f"a price per 1000 queries must be at least 0, got {price_per_1000}.")
    return None if price_per_1000 is None else round(images * price_per_1000 / 1000, 4)
