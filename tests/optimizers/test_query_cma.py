"""CMA-ES and its separable form: against the library itself, against pycma, and against a problem that lies askew."""

from __future__ import annotations

import builtins
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from cmaes import CMA, SepCMA
from torch import Tensor

from pixprompt.core import ConfigError
from pixprompt.optimizers import AskTell, make_query_optimizer
from pixprompt.optimizers.cma import MAX_FULL

SIZE = 6
SCALES = 10 ** torch.linspace(0, 3, SIZE, dtype=torch.float64)
"""Condition number 10^3."""
ROTATION, _ = torch.linalg.qr(torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(3), dtype=torch.float64))
GOAL = 1e-8


def straight(x: Tensor) -> Tensor:
    return (x - 0.2).square() @ SCALES


def askew(x: Tensor) -> Tensor:
    return ((x - 0.2) @ ROTATION).square() @ SCALES


def make(name: str, seed: int = 0, size: int = SIZE, **options: Any) -> AskTell:
    generator = torch.Generator().manual_seed(seed)
    return make_query_optimizer(name, torch.zeros(size), generator=generator, generations=100, **options)


def evaluations(name: str, loss: Callable[[Tensor], Tensor], seed: int, limit: int) -> float:
    """How many until the best candidate is below the goal."""
    optimizer, spent = make(name, seed), 0
    while spent < limit:
        losses = loss(optimizer.ask()).tolist()
        spent += len(losses)
        if min(losses) < GOAL:
            return spent
        optimizer.tell(losses)
    return math.inf


def evaluations_of_pycma(loss: Callable[[Tensor], Tensor], seed: int, limit: int) -> float:
    cma = pytest.importorskip("cma")
    options = {"seed": seed + 1, "popsize": make("cma").num_candidates, "verbose": -9}
    strategy, spent = cma.CMAEvolutionStrategy(SIZE * [0.0], 0.1, options), 0
    while spent < limit:
        candidates = strategy.ask()
        losses = loss(torch.tensor(np.array(candidates))).tolist()
        spent += len(losses)
        if min(losses) < GOAL:
            return spent
        strategy.tell(candidates, losses)
    return math.inf


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_cma_is_as_good_as_pycma_on_an_ill_conditioned_problem_that_lies_askew() -> None:
    """Within a factor 1.5, on the mean of three seeds; the separable form needs many times more."""
    ours = mean([evaluations("cma", askew, seed, 6000) for seed in range(3)])
    theirs = mean([evaluations_of_pycma(askew, seed, 6000) for seed in range(3)])
    assert 1 / 1.5 < ours / theirs < 1.5
    assert evaluations("sep-cma", askew, 0, int(4 * ours)) == math.inf


def test_sep_cma_needs_no_more_than_cma_where_nothing_lies_askew() -> None:
    full, separable = (
        mean([evaluations(name, straight, seed, 6000) for seed in range(3)]) for name in ("cma", "sep-cma")
    )
    assert separable < full < math.inf


@pytest.mark.parametrize(("name", "library"), [("cma", CMA), ("sep-cma", SepCMA)])
def test_it_is_the_library_step_by_step(name: str, library: Any) -> None:
    optimizer = make(name, 4, sigma=0.2, population=9)
    seed = int(torch.randint(2**31 - 1, (), generator=torch.Generator().manual_seed(4)))
    plain = library(mean=np.zeros(SIZE), sigma=0.2, seed=seed, population_size=9)
    for _ in range(10):
        candidates = optimizer.ask()
        expected = np.stack([plain.ask() for _ in range(9)])
        assert np.array_equal(candidates.numpy(), expected)
        losses = askew(candidates).tolist()
        optimizer.tell(losses)
        plain.tell(list(zip(expected, losses, strict=True)))
        assert np.array_equal(optimizer.center.numpy(), plain.mean)


def test_full_cma_has_a_limit_and_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="use sep-cma, or a smaller basis"):
        make("cma", size=MAX_FULL + 1)
    assert make("sep-cma", size=5000).ask().shape == (29, 5000)


def test_the_population_follows_the_tutorial() -> None:
    assert [make("cma", size=size).num_candidates for size in (6, 50, 108, 300)] == [9, 15, 18, 21]


def test_cmaes_is_imported_only_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refusing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "cmaes":
            raise ImportError("no cmaes")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refusing)
    monkeypatch.delitem(sys.modules, "cmaes")
    make("spsa").ask()
    with pytest.raises(ImportError, match="no cmaes"):  # negative control
        make("cma")
