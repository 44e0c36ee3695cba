"""Stopping early: closed forms of the rule, and simulated learning curves of both kinds."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from pixprompt.engine.fit.answers.stopping import worth_going_on

Points = list[tuple[int, float]]
Rule = Callable[..., bool]
TOTAL = 16_000


def line(slope: float, *, level: float = 2.0, num: int = 6, first: int = 500, last: int = 4000) -> Points:
    """Exactly `level - slope * log(queries / last)`."""
    return [(round(q), level - slope * math.log(round(q) / last)) for q in np.linspace(first, last, num)]


@pytest.mark.parametrize(("remaining", "part"), [(4000, 1.0), (12_000, 1.0), (1000, 0.25)])
def test_an_exact_line_is_followed_to_the_end_of_the_budget(remaining: int, part: float) -> None:
    """Its gain is slope * log(1 + remaining / spent); 1% of the present loss, 2, is asked for, or a part of that."""
    just = 0.01 * 2.0 * part / math.log1p(remaining / 4000)
    assert worth_going_on(line(just * 1.001), remaining=remaining)
    assert not worth_going_on(line(just * 0.999), remaining=remaining)
    assert worth_going_on(line(just * 3.01), remaining=remaining, min_gain=0.03)
    assert not worth_going_on(line(just * 2.99), remaining=remaining, min_gain=0.03)


def test_the_benefit_of_the_doubt_is_standard_errors_of_the_slope() -> None:
    """Four points on x = -3, -1, 1, 3 with residuals 1, -1, -1, 1: slope 0, standard error sqrt((4 / 2) / 20)."""
    points = [(round(1e6 * math.exp(x)), 100 + r) for x, r in ((-3, 1.0), (-1, -1.0), (1, -1.0), (3, 1.0))]
    error, ahead = math.sqrt(4 / 2 / 20), math.log(2)
    ask = {"remaining": points[-1][0], "min_points": 4, "min_gain": 0.01}
    just = 0.01 * 100 / (error * ahead)
    assert worth_going_on(points, optimism=just * 1.001, **ask)
    assert not worth_going_on(points, optimism=just * 0.999, **ask)


def test_only_the_later_half_counts() -> None:
    fallen = [(q, 9.0 - q / 500) for q in range(250, 2250, 250)]
    flat = [(q, 5.0) for q in range(2250, 4250, 250)]
    assert worth_going_on(fallen, remaining=9000)
    assert not worth_going_on(fallen + flat, remaining=9000)


def test_nothing_is_decided_too_soon() -> None:
    flat: Points = [(1000 * k, 1.0) for k in range(1, 9)]
    assert worth_going_on([], remaining=100)
    assert [worth_going_on(flat[:k], remaining=9000) for k in (1, 5, 6)] == [True, True, False]
    early = [(q // 5, loss) for q, loss in flat]
    assert worth_going_on(early, remaining=9000)
    assert not worth_going_on(early, remaining=9000, min_queries=1000)
    assert worth_going_on([(3000, 1.0 + k % 2) for k in range(9)], remaining=9000)  # all at once: no time has passed


def test_nothing_left_is_the_end_and_diverged_validations_are_passed_over() -> None:
    assert not worth_going_on(line(5.0), remaining=0)
    assert not worth_going_on([], remaining=-3)
    broken = [(0, 1.0), *line(0.5)[:3], (2500, math.inf), (2600, math.nan), *line(0.5)[3:]]
    assert worth_going_on(broken, remaining=4000)
    assert not worth_going_on([(q, loss if q == 2500 else 2.0) for q, loss in broken], remaining=4000)


def share_used(rule: Rule, curve: Callable[[float], float], noise: float, seed: int) -> float:
    """Runs a search of TOTAL queries with a validation every 800; returns the share that was used."""
    rng = np.random.default_rng(seed)
    points: Points = []
    for queries in range(800, TOTAL, 800):
        points.append((queries, curve(queries) * (1 + noise * rng.normal())))
        if not rule(points, remaining=TOTAL - queries):
            return queries / TOTAL
    return 1.0


FALLING: dict[str, Callable[[float], float]] = {
    "power": lambda q: (q / 500) ** -0.2,
    "slow power": lambda q: (q / 500) ** -0.1,
    "straight": lambda q: 1.5 * (1 - 0.3 * q / TOTAL),
    "worse before better": lambda q: 1.5 + q / 5000 * math.exp(1 - q / 1500) - 0.4 * (1 - math.exp(-q / 5000)),
}


@pytest.mark.parametrize("noise", [0.002, 0.02])
@pytest.mark.parametrize("name", FALLING)
def test_a_falling_curve_is_never_stopped(name: str, noise: float) -> None:
    assert [share_used(worth_going_on, FALLING[name], noise, seed) for seed in range(40)] == [1.0] * 40


@pytest.mark.parametrize(("noise", "most"), [(0.002, 0.35), (0.01, 0.55), (0.02, 0.65)])
def test_a_flat_curve_is_stopped_the_sooner_the_clearer_it_is(noise: float, most: float) -> None:
    assert np.mean([share_used(worth_going_on, lambda q: 1.5, noise, seed) for seed in range(100)]) < most


def test_a_rising_curve_is_stopped_at_once() -> None:
    used = [share_used(worth_going_on, lambda q: 1.5 + 0.3 * q / TOTAL, 0.01, seed) for seed in range(40)]
    assert max(used) <= 0.45


def test_a_rule_without_doubt_or_patience_fails_on_falling_curves() -> None:
    """Negative controls for the simulations."""

    def last_step(points: Points, *, remaining: int) -> bool:
        return len(points) < 2 or points[-1][1] < points[-2][1]

    def hasty(points: Points, *, remaining: int) -> bool:
        return worth_going_on(points, remaining=remaining, min_points=3, min_queries=0, optimism=0.0)

    for rule in (last_step, hasty):
        used = [share_used(rule, FALLING["worse before better"], 0.02, seed) for seed in range(40)]
        assert min(used) < 1.0, rule.__name__
    patient = lambda points, *, remaining: True  # noqa: E731
    assert share_used(patient, lambda q: 1.5, 0.002, 0) == 1.0
