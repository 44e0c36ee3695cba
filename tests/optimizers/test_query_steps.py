"""Steps in closed form: clip, calibration, gains, momentum, Adam; golden numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pixprompt.core import ConfigError
from pixprompt.optimizers import make_query_optimizer
from pixprompt.optimizers.gains import Calibration, clip_to_norm, polynomial_decay, power_decay
from pixprompt.optimizers.nes import adam_direction
from pixprompt.optimizers.spsa_gc import corrected

GRADIENT_LIKE = ["bar", "nes", "spsa", "spsa-gc", "spsa-uniform"]


def track(name: str, loss: Callable[[Tensor], Tensor], size: int, steps: int, generations: int, lr: float) -> Tensor:
    """The centers 0 .. steps of a run, (steps + 1, D)."""
    generator = torch.Generator().manual_seed(0)
    optimizer = make_query_optimizer(name, torch.zeros(size), generator=generator, generations=generations, lr=lr)
    centers = [optimizer.center]
    for _ in range(steps):
        optimizer.tell(loss(optimizer.ask()).tolist())
        centers.append(optimizer.center)
    return torch.stack(centers)


def test_the_clip_is_exact_at_root_d() -> None:
    long = torch.tensor([3.0, 4.0, 12.0, 0.0], dtype=torch.float64)  # norm 13, D = 4
    clipped = clip_to_norm(long, 2.0)
    torch.testing.assert_close(clipped, long * 2 / 13, rtol=1e-15, atol=0)
    for short in (long / 6.5, long / 7, torch.zeros(4).double()):  # norm 2 exactly, and less
        assert torch.equal(clip_to_norm(short, 2.0), short)  # normalising always would fail here


def test_calibration_takes_the_median_and_clips() -> None:
    calibration = Calibration()
    unit = torch.ones(4, dtype=torch.float64)
    assert torch.equal(calibration(0 * unit), 0 * unit)  # says nothing about the scale
    torch.testing.assert_close(calibration(5 * unit), unit)
    torch.testing.assert_close(calibration(unit), unit / 3)  # median of 5 and 1
    torch.testing.assert_close(calibration(100 * unit), unit)  # median 5, clipped at root D
    for _ in range(20):
        calibration(1e9 * unit)
    assert len(calibration.sizes) == 10
    torch.testing.assert_close(calibration(1e9 * unit), unit)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("name", GRADIENT_LIKE)
def test_the_first_step_has_pixel_rms_lr(name: str, scale: float) -> None:
    slope = torch.linspace(-1, 2, 30, dtype=torch.float64)
    centers = track(name, lambda x: scale * (x @ slope), 30, 1, 100, 0.04)
    assert float((centers[1] - centers[0]).square().mean().sqrt()) == pytest.approx(0.04, rel=1e-8)


PUBLISHED = {
    "spsa": {"decay": 0.602, "sigma_decay": 0.101, "decay_offset": 10.0},  # a tenth of 100 generations
    "spsa-uniform": {"decay": 0.602, "sigma_decay": 0.101, "decay_offset": 10.0},
    "spsa-gc": {"decay": 0.4, "sigma_decay": 0.1, "decay_offset": 1.0, "momentum": 0.9},
    "bar": {"decay": 0.9, "least_step": 0.01},
    "nes": {"decay": 1.0, "least_step": 0.1},
}


@pytest.mark.parametrize(("name", "constant"), [(name, constant) for name in PUBLISHED for constant in PUBLISHED[name]])
def test_the_published_constants_are_the_defaults_of_options(name: str, constant: str) -> None:
    def centers(**constants: float) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        optimizer = make_query_optimizer(name, torch.zeros(6), generator=generator, generations=100, **constants)
        rows = []
        for _ in range(98):  # to where the least step shows
            optimizer.tell((optimizer.ask() - 5).square().sum(1).tolist())
            rows.append(optimizer.center)
        return torch.stack(rows)

    published = centers()
    assert torch.equal(centers(**{constant: PUBLISHED[name][constant]}), published)
    assert not torch.equal(centers(**{constant: 0.5}), published)  # negative control


def test_a_constant_of_another_optimizer_is_refused() -> None:
    for name, constant in (("spsa", "least_step"), ("bar", "sigma_decay"), ("cma", "decay"), ("nes", "momentum")):
        with pytest.raises(ConfigError, match=f"has no {constant}"):
            make_query_optimizer(name, torch.zeros(4), generator=torch.Generator(), generations=9, **{constant: 0.5})


@pytest.mark.parametrize("name", ["bar", "spsa", "spsa-uniform"])
def test_no_step_is_longer_than_the_first(name: str) -> None:
    """The slope grows a thousandfold on the way; the raw estimate would follow it."""
    slope = torch.linspace(-1, 2, 30, dtype=torch.float64)
    centers = track(name, lambda x: (-3 * (x @ slope)).exp().neg(), 30, 40, 100, 0.04)
    steps = centers.diff(dim=0).square().mean(1).sqrt()
    assert steps.max() <= 0.04 * (1 + 1e-9)
    assert steps[1:].max() > 0.01


def test_gain_sequences_by_hand() -> None:
    assert power_decay(0, offset=10, exponent=0.602) == 1
    assert power_decay(11, offset=10, exponent=1.0) == 0.5
    assert power_decay(3, offset=0, exponent=0.5) == 0.5  # c / t^gamma at t = 4
    assert [polynomial_decay(step, total=4, exponent=1, least=0.1) for step in range(6)] == [
        1,
        0.75,
        0.5,
        0.25,
        0.1,
        0.1,
    ]
    assert polynomial_decay(50, total=100, exponent=0.9, least=0.01) == pytest.approx(0.5358867)


def test_spsa_on_a_line_by_hand() -> None:
    """One number, slope 3: the estimate is exact, so the step is lr ((1 + A) / (k + 1 + A))^0.602 with A = 2."""
    centers = track("spsa", lambda x: 3 * x[:, 0], 1, 3, 20, 0.1)[:, 0]
    steps = [0.1, 0.1 * (3 / 4) ** 0.602, 0.1 * (3 / 5) ** 0.602]
    assert [round(step, 7) for step in steps] == [0.1, 0.0840982, 0.073527]
    torch.testing.assert_close(-centers.diff(), torch.tensor(steps, dtype=torch.float64), rtol=1e-9, atol=0)


def test_bar_on_a_line_by_hand() -> None:
    centers = track("bar", lambda x: 3 * x[:, 0], 1, 3, 4, 0.1)[:, 0]
    steps = [0.1, 0.1 * 0.75**0.9, 0.1 * 0.5**0.9]
    torch.testing.assert_close(-centers.diff(), torch.tensor(steps, dtype=torch.float64), rtol=1e-9, atol=0)


def test_spsa_gc_on_a_line_by_hand() -> None:
    """m = 1, 1.9, 2.71; ghat + 0.9 m = 1.9, 2.71, 3.439; gain 0.1 / 1.9 (2 / (t + 1))^0.4 = 1, 0.850283, 0.757858."""
    centers = track("spsa-gc", lambda x: 3 * x[:, 0], 1, 3, 20, 0.1)[:, 0]
    golden = torch.tensor([0.1, 0.1 / 1.9 * 2.71 * 0.850283, 0.1 / 1.9 * 3.439 * 0.757858], dtype=torch.float64)
    torch.testing.assert_close(-centers.diff(), golden, rtol=1e-6, atol=0)
    plain = torch.tensor([0.1, 0.1 * 1.9 * 0.850283, 0.1 * 2.71 * 0.757858], dtype=torch.float64)
    assert not torch.allclose(-centers.diff(), plain, rtol=1e-3)  # momentum without the correction


def test_the_codes_form_is_the_papers_look_ahead_in_the_shifted_variable() -> None:
    """BlackVIP: v <- b v - a g(phi + b v), phi <- phi + v; in w = phi + b v that is the form of `corrected`."""
    curvature = torch.linspace(0.5, 4, 6, dtype=torch.float64)
    w = phi = heavy = torch.linspace(-1, 1, 6, dtype=torch.float64)
    velocity, momentum, ball = torch.zeros_like(w), torch.zeros_like(w), torch.zeros_like(w)
    gain, beta = 0.05, 0.9
    for _ in range(30):
        velocity = beta * velocity - gain * curvature * (phi + beta * velocity)
        phi = phi + velocity
        momentum, direction = corrected(momentum, curvature * w, beta)
        w = w - gain * direction
        torch.testing.assert_close(w, phi + beta * velocity, rtol=0, atol=1e-13)
        torch.testing.assert_close(velocity, -gain * momentum, rtol=0, atol=1e-13)
        ball = beta * ball + curvature * heavy
        heavy = heavy - gain * ball
    assert not torch.allclose(w, phi, atol=1e-3)  # the variables do differ
    assert not torch.allclose(w, heavy, atol=1e-3)  # negative control: plain momentum goes elsewhere


def test_adam_is_that_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    theta = torch.nn.Parameter(torch.zeros(6, dtype=torch.float64))
    optimizer = torch.optim.Adam([theta], lr=0.1, eps=1e-12)
    ours = wrong = first = second = torch.zeros(6, dtype=torch.float64)
    for step in range(1, 20):
        gradient = torch.randn(6, generator=generator, dtype=torch.float64)
        theta.grad = gradient
        optimizer.step()
        first, second, direction = adam_direction(gradient, first, second, step)
        ours, wrong = ours - 0.1 * direction, wrong - 0.1 * first / second.sqrt()
        torch.testing.assert_close(ours, theta.detach(), rtol=1e-9, atol=1e-12)
    assert not torch.allclose(wrong, theta.detach(), rtol=0.1)  # without the correction of the bias


def test_pairs_average_the_noise_away() -> None:
    """Four times the pairs, half the error of an estimate's direction: measured on a linear loss in 64 dimensions."""
    slope = torch.ones(64, dtype=torch.float64)
    cosines = []
    for population in (8, 32, 512):
        generator = torch.Generator().manual_seed(1)
        optimizer = make_query_optimizer(
            "spsa", torch.zeros(64), generator=generator, generations=9, population=population
        )
        optimizer.tell((optimizer.ask() @ slope).tolist())
        step = -optimizer.center
        cosines.append(float(step @ slope / step.norm() / slope.norm()))
    expected = [1 / math.sqrt(1 + 63 / (population / 2)) for population in (8, 32, 512)]
    assert cosines == pytest.approx(expected, abs=0.12)
