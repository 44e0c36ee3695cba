"""What a run will cost, before it starts."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ...core import ConfigError
from ...ledger import Querier, probe_queries
from ...remote import RemoteModel
from ..config.methods import grids, make_adapter
from ..config.presets import query_budget
from ..config.train_config import TrainConfig
from ..initial_prompts import num_starts
from ..parts import Parts
from ..seeds import stream
from .allocation import Allocation, allocate, reserve_of

__all__ = ["allocation_of", "check_budget", "cost", "plan", "query_counts"]


def plan(parts: Parts) -> dict[str, Any]:
    """Returns parameters, images per split, queries by purpose and cost of a run; asks the model nothing more."""
    config, data = parts.config, parts.data
    queries = allocation_of(parts).to_json() if parts.by_answers else _gradient_queries(parts)
    total = queries.pop("total", None) or sum(queries.values())
    if config.method.white_box:
        generator = stream(config.seed, "init")
        adapter = make_adapter(config, parts.model, data.classes, generator=generator)
        learned = adapter.num_tuned
    else:
        learned = parts.template.num_params
    return {
        "config": config.to_json(),
        "counts": {"train": len(data.train), "val": len(data.val), "test": len(data.test)},
        "parameters": learned,
        "queries": {**queries, "total": total},
        "cost": cost(total, config.search.price_per_1000),
        **({"calls": _calls(parts.model, total, config)} if isinstance(parts.model, RemoteModel) else {}),
    }


def allocation_of(parts: Parts) -> Allocation:
    """Returns how the budget of a run by answers is divided."""
    config, data = parts.config, parts.data
    probed, budget = probe_queries(parts.model), config.search.budget or 0
    reserve = reserve_of(budget) if isinstance(parts.model, RemoteModel) else 0
    plan = allocate(
        max(0, budget - probed - reserve),
        num_train=min(len(data.train), config.search.head_images or len(data.train)),
        num_val=len(data.val),
        num_test=len(data.test),
        has_prompt=config.method.file is not None,
        num_classes=len(data.classes),
        num_starts=num_starts(parts),
        test_images=config.search.test_images,
    )
    return replace(plan, probe=probed, reserve=reserve)


def check_budget(parts: Parts) -> None:
    """Makes sure that a run by gradients, whose queries are known beforehand, stays within a budget, if it has one.

    Raises:
        ConfigError: It does not.
    """
    if parts.config.search.budget is None and parts.config.search.max_cost is None:
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
    if config.method.white_box:  # at most: what the frozen part makes of an image is kept where it fits into memory
        rates, decays = grids(config) if config.fit.grid_search else ((0.0,), (0.0,))
        passes = len(rates) * len(decays) * (config.fit.epochs or 0)
        final = config.fit.seeds * (config.fit.epochs or 0) * (train + val) if config.fit.grid_search else 0
        return {
            "no_prompt": train + val + test,
            "training": passes * train + final,
            "selection": passes * val,
            "adapter": config.fit.seeds * test + (0 if config.fit.grid_search else val),
        }
    return {
        "no_prompt": train + val + test,
        "first_prompt": train if parts.output().fits and not parts.starts_plain else 0,
        "training": (config.fit.epochs or 0) * train,
        "selection": (config.fit.epochs or 0) * val,
        "prompt_float": val + test,
        "prompt_png": val + test,
    }


def _calls(model: RemoteModel, total: int, config: TrainConfig) -> dict[str, Any]:
    """Returns how a remote model will be called; requests are at least so many, since the last of a step are fewer."""
    rest = -(-max(0, total - 1) // model.max_batch)
    return {
        "first": "one image alone",
        "max_batch": model.max_batch,
        "requests": min(total, 1) + rest,
        "seconds": None if not config.endpoint.rate else round(total / config.endpoint.rate, 1),
    }


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
