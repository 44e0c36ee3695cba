"""What every zeroth-order optimiser must keep, parametrised over the registry."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pixprompt.core import ConfigError, RangeError, ShapeError, UnknownName
from pixprompt.optimizers import OPTIMIZERS, QUERY_OPTIMIZERS, AskTell, make_query_optimizer

NAMES = sorted(QUERY_OPTIMIZERS)
TARGET = torch.linspace(-0.3, 0.3, 12, dtype=torch.float64)


def make(name: str, seed: int = 0, *, size: int = 12, generations: int = 150, **options: Any) -> AskTell:
    generator = torch.Generator().manual_seed(seed)
    return make_query_optimizer(name, torch.zeros(size), generator=generator, generations=generations, **options)


def quadratic(candidates: Tensor) -> list[float]:
    values: list[float] = (candidates - TARGET).square().sum(1).tolist()
    return values


def advance(optimizer: AskTell, generations: int, sign: float = 1.0, factor: float = 1.0) -> list[Tensor]:
    queries = []
    for _ in range(generations):
        queries.append(optimizer.ask())
        optimizer.tell([sign * factor * loss for loss in quadratic(queries[-1])])
    return queries


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_the_names_and_what_they_need() -> None:
    assert NAMES == ["bar", "cma", "nes", "sep-cma", "spsa", "spsa-gc", "spsa-uniform"]
    assert all("needs answers only" in line and len(line) <= 120 for line in QUERY_OPTIMIZERS.describe().values())
    assert not set(NAMES) & set(OPTIMIZERS)
    with pytest.raises(UnknownName, match="Did you mean 'spsa-gc'"):
        make("spsa-cg")


@pytest.mark.parametrize("name", NAMES)
def test_shapes_types_and_copies(name: str) -> None:
    start = torch.linspace(0, 1, 12)
    original = start.clone()
    optimizer = make_query_optimizer(name, start, generator=torch.Generator().manual_seed(0), generations=5)
    assert torch.equal(optimizer.center, original.double())
    for _ in range(3):
        candidates = optimizer.ask()
        assert candidates.shape == (optimizer.num_candidates, 12)
        assert (candidates.dtype, candidates.device.type) == (torch.float64, "cpu")
        before = optimizer.center
        optimizer.center.fill_(7)  # a caller's copy
        assert torch.equal(optimizer.center, before)
        losses = quadratic(candidates)
        candidates.fill_(7)
        optimizer.tell(losses)
        assert not torch.equal(optimizer.center, before)
        assert optimizer.center.abs().max() < 3
    assert torch.equal(start, original)


@pytest.mark.parametrize("name", NAMES)
def test_the_generator_decides_and_global_seeds_do_not(name: str) -> None:
    runs = []
    for seed, outside in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(outside)
        np.random.seed(outside)  # noqa: NPY002
        before = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
        runs.append(advance(make(name, seed), 4))
        assert torch.equal(before[0], torch.get_rng_state())
        assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])  # negative control: another generator does change the run


@pytest.mark.parametrize("name", NAMES)
def test_ask_and_tell_take_turns(name: str) -> None:
    optimizer = make(name)
    with pytest.raises(ConfigError, match="without an ask"):
        optimizer.tell([0.0] * optimizer.num_candidates)
    losses = quadratic(optimizer.ask())
    with pytest.raises(ConfigError, match="twice in a row"):
        optimizer.ask()
    with pytest.raises(ShapeError, match=f"expected {len(losses)} losses.*got {len(losses) - 1}"):
        optimizer.tell(losses[1:])
    optimizer.tell(losses)  # a refused call changes nothing
    with pytest.raises(ConfigError, match="without an ask"):
        optimizer.tell(losses)


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_descends_a_quadratic_and_climbs_it_with_the_wrong_sign(name: str) -> None:
    optimizer, wrong = make(name), make(name)
    advance(optimizer, 150)
    start = float(TARGET.square().sum())
    assert quadratic(optimizer.center[None])[0] < 0.02 * start
    advance(wrong, 150, sign=-1)
    assert quadratic(wrong.center[None])[0] > start


@pytest.mark.parametrize("name", NAMES)
def test_the_size_of_the_loss_does_not_matter(name: str) -> None:
    runs = [advance(make(name), 20, factor=factor) for factor in (1.0, 1e-4, 1e4)]
    for run in runs[1:]:
        torch.testing.assert_close(run[-1], runs[0][-1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", NAMES)
def test_a_loss_that_is_not_finite_counts_as_the_worst(name: str, bad: float) -> None:
    first, second, naive = make(name), make(name), make(name)
    for optimizer, third in ((first, bad), (second, None), (naive, 0.0)):
        losses = quadratic(optimizer.ask())
        worst = max(losses[:2] + losses[3:])
        optimizer.tell([*losses[:2], worst if third is None else third, *losses[3:]])
    assert torch.equal(first.center, second.center)
    assert not torch.equal(first.center, naive.center)  # negative control: taking it for 0


@pytest.mark.parametrize("name", NAMES)
def test_generations_without_any_finite_loss_are_survived(name: str) -> None:
    optimizer = make(name)
    advance(optimizer, 4)
    for _ in range(5):
        optimizer.ask()
        optimizer.tell([math.nan] * optimizer.num_candidates)
        assert optimizer.center.isfinite().all()
    assert optimizer.returns == 1
    advance(optimizer, 100)
    assert quadratic(optimizer.center[None])[0] < 0.1 * float(TARGET.square().sum())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cma", {"lr": 0.1}, "Cma has no lr"),
        ("sep-cma", {"lr": 0.1}, "SepCma has no lr"),
        ("spsa", {"lr": 0.0}, "lr above 0, got 0"),
        ("spsa", {"lr": math.nan}, "lr above 0, got nan"),
        ("nes", {"sigma": -1.0}, "sigma above 0"),
        ("bar", {"sigma": math.inf}, "sigma above 0"),
        ("bar", {"generations": 0}, "generations above 0"),
        ("spsa", {"population": 3}, "even number of 2 or more"),
        ("spsa-gc", {"population": 0}, "even number of 2 or more"),
        ("nes", {"population": 5}, "even number of 2 or more"),
        ("bar", {"population": 1}, "2 or more"),
        ("cma", {"population": 3}, "4 or more"),
        ("sep-cma", {"size": 1}, "sep-cma needs 2 parameters"),
    ],
)
def test_options_that_make_no_sense(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(name, **options)


@pytest.mark.parametrize("name", NAMES)
def test_starts_that_make_no_sense(name: str) -> None:
    for start, error in ((torch.zeros(2, 3), ShapeError), (torch.zeros(0), ShapeError), (TARGET / 0, RangeError)):
        with pytest.raises(error, match="expected a"):
            make_query_optimizer(name, start, generator=torch.Generator(), generations=5)


@pytest.mark.parametrize("name", NAMES)
def test_a_perturbation_has_the_pixel_rms_it_was_given(name: str) -> None:
    optimizer = make(name, size=100, sigma=0.07, population=200)
    offsets = optimizer.ask() - optimizer.center
    moved = offsets[offsets.abs().sum(1) > 0]
    assert len(moved) == (199 if name == "bar" else 200)
    assert float(moved.square().mean().sqrt()) == pytest.approx(0.07, rel=0.02)


@pytest.mark.parametrize(
    ("name", "share"),
    [("spsa", 5**-0.101), ("spsa-uniform", 5**-0.101), ("spsa-gc", 5**-0.1), ("bar", 1.0), ("nes", 1.0)],
)
def test_perturbations_shrink_as_published(name: str, share: float) -> None:
    """c_k = c / k^gamma: in the fifth generation a share of the first; the last candidate is compared, over seeds."""
    sizes = []
    for seed in range(30):
        optimizer = make(name, seed, size=100)
        first = optimizer.ask()[-1] - optimizer.center
        optimizer.tell([0.0] * optimizer.num_candidates)
        for _ in range(3):
            optimizer.ask()
            optimizer.tell([0.0] * optimizer.num_candidates)
        fifth = optimizer.ask()[-1] - optimizer.center
        sizes.append(float(fifth.norm() / first.norm()))
    assert sum(sizes) / 30 == pytest.approx(share, rel=0.04)
