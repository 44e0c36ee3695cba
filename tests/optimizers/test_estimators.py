"""Gradient estimates in closed form: exact on a linear loss in expectation; a wrong variant of each is caught."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pixprompt.optimizers.nes import antithetic
from pixprompt.optimizers.random_gradient import one_sided
from pixprompt.optimizers.spsa import rademacher, segmented_uniform, two_sided

SLOPE = torch.tensor([1.0, -2.0, 3.0, 0.5, -4.0], dtype=torch.float64)
SIGNS = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=5)), dtype=torch.float64)
"""All 2^5 of them: their mean is the expectation over independent random signs."""
SIZES = torch.tensor([0.5, 0.6, 0.75, 0.9, 1.0], dtype=torch.float64)


def linear(candidates: Tensor) -> Tensor:
    return candidates @ SLOPE + 7


def is_exact(estimate: Tensor) -> bool:
    return torch.allclose(estimate, SLOPE, rtol=1e-12, atol=1e-12)


def pairs(estimate: Callable[[Tensor, Tensor], Tensor], steps: Tensor) -> Tensor:
    center = torch.linspace(-1, 1, 5, dtype=torch.float64)
    return estimate(torch.cat([linear(center + steps), linear(center - steps)]), steps)


@pytest.mark.parametrize("sizes", [torch.ones(5).double(), SIZES], ids=["rademacher", "segmented uniform"])
def test_spsa_is_exact_over_all_signs_whatever_the_sizes(sizes: Tensor) -> None:
    """E[s_j / s_i] is 0 for j != i and the size of i cancels, so every draw of sizes is exact by itself."""
    steps = 0.03 * SIGNS * sizes

    def without_two(losses: Tensor, steps: Tensor) -> Tensor:
        return 2 * two_sided(losses, steps)

    def times(losses: Tensor, steps: Tensor) -> Tensor:  # g * Delta in place of g / Delta, as NES would
        plus, minus = losses.chunk(2)
        return ((plus - minus)[:, None] * steps / (2 * 0.03**2)).mean(0)

    def without_radius(losses: Tensor, steps: Tensor) -> Tensor:
        return two_sided(losses, steps / 0.03)

    assert is_exact(pairs(two_sided, steps))
    assert not is_exact(pairs(without_two, steps))
    assert not is_exact(pairs(without_radius, steps))
    assert is_exact(pairs(times, steps)) == bool((sizes == 1).all())  # 1 / Delta is Delta for signs only


def test_one_pair_of_spsa_by_hand() -> None:
    steps = torch.tensor([[0.1, -0.2]], dtype=torch.float64)
    losses = torch.tensor([1.5, 1.1], dtype=torch.float64)  # difference 0.4
    torch.testing.assert_close(two_sided(losses, steps), torch.tensor([2.0, -1.0], dtype=torch.float64))


def test_the_sphere_estimate_is_exact_over_an_orthonormal_basis() -> None:
    """D E[u u'] = I also holds for u drawn from plus and minus the columns of any rotation."""
    rotation, _ = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    directions = torch.cat([rotation, -rotation])
    center, radius = torch.linspace(-1, 1, 5, dtype=torch.float64), 0.2
    losses = torch.cat([linear(center[None]), linear(center + radius * directions)])
    estimate = one_sided(losses, directions, radius)
    assert is_exact(estimate)
    assert not is_exact(estimate / 5)  # without the factor D
    assert not is_exact(estimate * radius)  # without the division by beta
    shifted = torch.cat([losses[:1] + 1, losses[1:]])
    assert is_exact(one_sided(shifted, directions, radius))  # the pivot cancels over u and -u,
    assert not is_exact(one_sided(shifted[:6], directions[:5], radius))  # and only there


def test_the_sphere_estimate_in_expectation_over_the_sphere() -> None:
    normal = torch.randn(200_000, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    directions = normal / normal.norm(dim=1, keepdim=True)
    losses = torch.cat([linear(torch.zeros(1, 5).double()), linear(0.2 * directions)])
    # Var of one term is at most D |g|^2, so 5 standard errors are 5 sqrt(5 * 30.25 / 200000).
    bound = 5 * math.sqrt(5 * float(SLOPE @ SLOPE) / 200_000)
    assert (one_sided(losses, directions, 0.2) - SLOPE).abs().max() < bound
    assert (one_sided(losses, normal, 0.2) - SLOPE).abs().max() > bound  # directions that are not unit vectors


def test_nes_is_exact_where_the_directions_have_unit_covariance() -> None:
    sigma = 0.05
    losses = torch.cat([linear(sigma * SIGNS), linear(-sigma * SIGNS)])
    estimate = antithetic(losses, SIGNS, sigma)
    assert is_exact(estimate)
    assert not is_exact(estimate / 2)  # dividing by 4 sigma
    assert not is_exact(estimate * sigma)
    swapped = torch.cat([losses[32:], losses[:32]])
    assert not is_exact(antithetic(swapped, SIGNS, sigma))


def test_two_sided_estimates_are_exact_on_a_quadratic_too_and_the_one_sided_one_is_not() -> None:
    def bowl(candidates: Tensor) -> Tensor:
        return linear(candidates) + 3 * candidates.square().sum(1)

    radius = 0.2
    both = torch.cat([bowl(radius * SIGNS), bowl(-radius * SIGNS)])
    assert is_exact(two_sided(both, radius * SIGNS))  # at center 0 the gradient is SLOPE
    assert is_exact(antithetic(both, SIGNS, radius))
    unit = torch.eye(5).double()
    losses = torch.cat([bowl(torch.zeros(1, 5).double()), bowl(radius * unit)])
    assert not is_exact(one_sided(losses, unit, radius))


def test_the_laws_of_the_directions() -> None:
    generator = torch.Generator().manual_seed(0)
    signs = rademacher((1000, 40), generator=generator)
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    drawn = segmented_uniform((1000, 40), generator=generator)
    sizes = drawn.abs() * math.sqrt(7 / 12)
    assert 0.5 <= sizes.min() < 0.501
    assert 0.999 < sizes.max() <= 1
    assert float(sizes.mean()) == pytest.approx(0.75, abs=0.005)
    assert float(drawn.square().mean()) == pytest.approx(1, abs=0.02)  # pixel RMS 1
    for draw in (signs, drawn):
        assert abs(float(draw.sign().mean())) < 5 / math.sqrt(draw.numel())
