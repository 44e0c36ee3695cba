"""The divergence guard: what it forgives, what it undoes, and that it leaves honest noise alone."""

from __future__ import annotations

import math

import pytest
import torch

from pixprompt.optimizers import QUERY_OPTIMIZERS, AskTell, make_query_optimizer
from pixprompt.optimizers.guard import RADIUS, Guard, Verdict, replace_nonfinite

LEARN, AGAIN, BACK = Verdict.LEARN, Verdict.REPEAT, Verdict.GO_BACK


def decide(watch: Guard, *levels: float) -> list[Verdict]:
    center = torch.zeros(3, dtype=torch.float64)
    return [watch.decide(torch.full((4,), level, dtype=torch.float64), center) for level in levels]


def fresh() -> Guard:
    watch = Guard(torch.zeros(3, dtype=torch.float64))
    assert decide(watch, 1.0, 1.1, 0.9, 1.05, 0.95, 1.0) == [LEARN] * 6
    return watch


def test_what_is_not_finite_is_the_worst() -> None:
    losses = torch.tensor([1.0, math.nan, 3.0, math.inf, -math.inf])
    assert replace_nonfinite(losses).tolist() == [1, 3, 3, 3, 3]
    assert replace_nonfinite(losses[1:2]).isnan().all()


def test_one_hard_mini_batch_is_forgiven() -> None:
    watch = fresh()
    assert decide(watch, 9.0, 1.0, 9.0, 1.0) == [AGAIN, LEARN, AGAIN, LEARN]
    assert (watch.damping, watch.returns) == (1, 0)


def test_two_in_a_row_are_the_steps_fault() -> None:
    watch = fresh()
    assert decide(watch, 9.0, 9.0, 1.0) == [AGAIN, BACK, LEARN]
    assert (watch.damping, watch.returns) == (0.5, 1)


def test_three_in_a_row_are_other_losses() -> None:
    watch = fresh()
    assert decide(watch, 9.0, 9.0, 9.0, 9.1, 8.9) == [AGAIN, BACK, LEARN, LEARN, LEARN]
    assert watch.damping == 1
    assert decide(fresh(), math.nan, math.nan, math.nan, math.nan, 1.0) == [AGAIN, BACK, AGAIN, AGAIN, LEARN]


def test_hard_mini_batches_pass_where_losses_have_become_tiny() -> None:
    """From 0.94 (the median of the first five) to 0.05: half-way back is 0.495, ten times the running level."""
    falling = [max(0.05, 1 - 0.03 * step) for step in range(60)]
    for level, verdict in ((0.49, LEARN), (0.5, AGAIN)):
        watch = Guard(torch.zeros(3, dtype=torch.float64))
        decide(watch, *falling)
        assert decide(watch, level) == [verdict]


def test_the_level_is_robust_and_has_no_unit() -> None:
    watch = Guard(torch.zeros(3, dtype=torch.float64))
    decide(watch, 1.0, 1.1, 0.9, 1.05, 0.95)
    outlier = torch.tensor([1.0, 1.0, 1.0, 1e9], dtype=torch.float64)  # one candidate says nothing about the center
    assert watch.decide(outlier, watch.start) is LEARN
    for factor in (1e-6, 1e6):
        scaled = Guard(torch.zeros(3, dtype=torch.float64))
        levels = [factor * level for level in (1.0, 1.1, 0.9, 1.05, 0.95, 1.9, 2.6)]
        assert decide(scaled, *levels) == [LEARN] * 6 + [AGAIN]


@pytest.mark.parametrize("spread", [0.05, 0.5])
def test_honest_noise_is_left_alone(spread: float) -> None:
    """Log-normal levels, as small mini-batches give; a rule of two standard deviations would stop all the time."""
    generator = torch.Generator().manual_seed(0)
    levels = (spread * torch.randn(3000, generator=generator)).exp().tolist()
    watch = Guard(torch.zeros(3, dtype=torch.float64))
    verdicts = decide(watch, *levels)
    assert watch.returns == 0
    assert verdicts.count(AGAIN) < 30
    limit = float(torch.tensor(levels).mean() + 2 * torch.tensor(levels).std())
    assert sum(level > limit for level in levels) > 45


def make(name: str, *, sigma: float = 0.05) -> AskTell:
    generator = torch.Generator().manual_seed(0)
    return make_query_optimizer(name, torch.zeros(20), generator=generator, generations=60, sigma=sigma)


def blow_up(optimizer: AskTell) -> None:
    """Eight good generations on a slope, then two of huge losses."""
    slope = torch.ones(optimizer.center.numel(), dtype=torch.float64)
    for _ in range(8):
        good = optimizer.center
        optimizer.tell((2 + 0.1 * (optimizer.ask() @ slope)).tolist())
    for expected in (optimizer.center, good):
        optimizer.tell([1e6] * len(optimizer.ask()))
        assert torch.equal(optimizer.center, expected)
    assert optimizer.returns == 1


@pytest.mark.parametrize("name", list(QUERY_OPTIMIZERS))
def test_a_blow_up_takes_every_optimizer_back_to_the_last_good_center(name: str) -> None:
    optimizer = make(name)
    blow_up(optimizer)
    assert optimizer.ask().shape == (optimizer.num_candidates, 20)


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("spsa", (3 / 13) ** 0.602),  # A = 2 and k = 10
        ("spsa-uniform", (3 / 13) ** 0.602),
        ("spsa-gc", (2 / 12) ** 0.4),  # t = 11; the first step of a new momentum
        ("bar", 0.5**0.9),
        ("nes", 0.5 * 0.1 / (1 - 0.9**9)),  # Adam's ninth gradient, its first moment forgotten
    ],
)
def test_after_a_blow_up_the_step_is_half_and_the_way_is_forgotten(name: str, whole: float) -> None:
    """On a line the estimates are exact (nearly so with 10,000 pairs of NES), so the next step is known."""
    options = {"population": 20_000} if name == "nes" else {}
    optimizer = make_query_optimizer(
        name, torch.zeros(1), generator=torch.Generator().manual_seed(0), generations=20, lr=0.02, **options
    )
    blow_up(optimizer)
    before = optimizer.center
    optimizer.tell((2 + 0.1 * optimizer.ask()[:, 0]).tolist())
    assert float(before - optimizer.center) == pytest.approx(0.02 / 2 * whole, rel=0.03)


@pytest.mark.parametrize("name", ["cma", "sep-cma"])
def test_after_a_blow_up_cma_is_half_as_wide_round_the_last_good_center(name: str) -> None:
    diverged, calm = make(name), make(name)
    blow_up(diverged)
    for _ in range(8):
        calm.tell((2 + 0.1 * calm.ask().sum(1)).tolist())
    spreads = [float((optimizer.ask() - optimizer.center).std()) for optimizer in (diverged, calm)]
    assert spreads[0] < 0.8 * spreads[1]


@pytest.mark.parametrize("name", ["cma", "sep-cma"])
def test_the_width_of_cma_stays_inside_the_radius(name: str) -> None:
    optimizer = make(name, sigma=50.0)
    assert float(optimizer.ask().std()) > 10
    optimizer.tell([float(index) for index in range(optimizer.num_candidates)])
    assert float(optimizer.ask().std()) < 2 * RADIUS


@pytest.mark.parametrize("name", list(QUERY_OPTIMIZERS))
def test_no_center_leaves_the_radius(name: str) -> None:
    def farthest(radius: float | None) -> float:
        generator = torch.Generator().manual_seed(0)
        optimizer = make_query_optimizer(
            name, torch.ones(6), generator=generator, generations=400, sigma=0.3, radius=radius
        )
        most = 0.0
        for _ in range(150):
            optimizer.tell(optimizer.ask().sum(1).tolist())  # falls for ever
            most = max(most, float((optimizer.center - 1).square().mean().sqrt()))
        return most

    assert farthest(None) <= RADIUS
    assert farthest(0.5) <= 0.5
    assert farthest(1e9) > RADIUS  # negative control: without the guard it leaves
