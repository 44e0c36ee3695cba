"""How many queries a run takes, before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ...core import ConfigError, OutputTransform
from ...ledger import probe_queries
from ...remote import RemoteModel
from ..config.methods import grids
from ..config.presets import query_budget
from ..config.train_config import TrainConfig
from ..fit.initial_prompts import num_starts
from ..parts import Parts
from .allocation import Allocation, allocate, reserve_of

__all__ = ["allocation_of", "check_budget", "gradient_queries"]


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


def check_budget(config: TrainConfig, queries: Mapping[str, int]) -> None:
    """Makes sure that a run by gradients, whose queries are known beforehand, stays within a budget, if it has one.

    Raises:
        ConfigError: It does not.
    """
    if config.search.budget is None and config.search.max_cost is None:
        return
    wanted, allowed = sum(queries.values()), query_budget(config)
    if wanted > allowed:
        raise ConfigError(
            f"learning by gradients as configured asks {wanted} queries, the budget is {allowed}. Leave out "
            "--optimizer to learn from answers within it, or take fewer --epochs or --shots."
        )


def gradient_queries(parts: Parts, output: OutputTransform) -> dict[str, int]:
    """Returns the most queries that a run by gradients takes, by purpose."""
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
        "first_prompt": train if output.fits and not parts.starts_plain else 0,
        "training": (config.fit.epochs or 0) * train,
        "selection": (config.fit.epochs or 0) * val,
        "prompt_float": val + test,
        "prompt_png": val + test,
    }
