"""Noise of answers: closed forms, simulations, and a drift test that neither cries wolf nor sleeps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from pixprompt.core import RangeError, ShapeError
from pixprompt.engine.budget.noise import Noise, drifted, measure_noise, repeats


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def test_analysis_of_variance_by_hand() -> None:
    """Column 0: differences 2, 0, 2 -> within 8 / 6; means 1, 4, 7 -> variance 9. Column 1: no noise, variance 1."""
    first = torch.tensor([[0.0, 1.0], [4.0, 2.0], [8.0, 3.0]])
    second = torch.tensor([[2.0, 1.0], [4.0, 2.0], [6.0, 3.0]])
    noise = measure_noise(first, second)
    assert noise.differing == pytest.approx(2 / 3)
    assert noise.within == pytest.approx(4 / 3)
    assert noise.between == pytest.approx(9 + 1 - 2 / 3)
    assert noise.share == pytest.approx((4 / 3) / (10 + 2 / 3))


def test_the_variances_are_recovered_without_bias() -> None:
    draw = seeded(0)
    results = []
    for _ in range(300):
        truth = 3 * torch.randn(20, 4, generator=draw)
        results.append(measure_noise(*(truth + 2 * torch.randn(20, 4, generator=draw) for _ in range(2))))
    assert np.mean([noise.within for noise in results]) == pytest.approx(4 * 4.0, rel=0.03)
    assert np.mean([noise.between for noise in results]) == pytest.approx(4 * 9.0, rel=0.05)
    # Negative control: the variance of the means alone still holds half of the noise.
    assert np.mean([noise.between + noise.within / 2 for noise in results]) > 4 * 9.0 * 1.1


def test_answers_that_agree_have_no_noise() -> None:
    answers = torch.randn(6, 3, generator=seeded(1))
    assert measure_noise(answers, answers.clone()).share == 0
    rounded = answers * (1 + 2e-7)
    assert (measure_noise(answers, rounded).differing, measure_noise(answers, rounded).within) == (0.0, 0.0)
    assert measure_noise(torch.ones(3, 2), torch.ones(3, 2)) == Noise(0.0, 0.0, 0.0)


def test_noise_alone_and_labels_alone() -> None:
    draw = seeded(2)
    pure = measure_noise(torch.randn(400, 3, generator=draw), torch.randn(400, 3, generator=draw))
    assert pure.share > 0.85
    eye = torch.eye(4)
    labels = torch.arange(8) % 4
    other = labels.clone()
    other[0] = 3
    assert measure_noise(eye[labels], eye[other]).differing == 1 / 8


def test_noise_is_measured_on_what_is_made_of_answers() -> None:
    first, second = torch.rand(2, 5, 3, generator=seeded(3)).clamp_min(0.01)
    direct = measure_noise(first.log(), second.log())
    assert measure_noise(first, second, transform=torch.log) == direct
    losses = measure_noise(first, second, transform=lambda outputs: outputs[:, 0])
    assert losses.within == pytest.approx(float((first - second)[:, 0].double().square().sum() / 10))


@pytest.mark.parametrize(
    ("within", "between", "images", "left", "expected"),
    [
        (0.0, 1.0, 100, None, 1),
        (0.10, 1.0, 100, None, 1),  # a share of 1/11 is tolerable
        (0.12, 1.0, 100, None, 2),
        (0.30, 1.0, 100, None, 3),
        (9.0, 1.0, 100, None, 4),
        (9.0, 0.0, 100, None, 4),
        (0.0, 0.0, 100, None, 1),
        (9.0, 1.0, 100, 250, 3),
        (9.0, 1.0, 100, 99, 1),
        (9.0, 1.0, 100, -5, 1),
        (9.0, 1.0, 0, 0, 4),
    ],
)
def test_repeats(within: float, between: float, images: int, left: int | None, expected: int) -> None:
    actual = repeats(Noise(1.0, within, between), images=images, num_left=left)
    assert actual == expected
    if within and between:
        brought_down = within / actual / (within / actual + between)
        assert brought_down <= 0.1 or actual == 4 or (left is not None and left < actual * images)


def test_repeats_refuses_nonsense() -> None:
    assert repeats(Noise(1.0, 9.0, 1.0), images=10, num_left=None, most=7) == 7
    with pytest.raises(RangeError, match="most must be at least 1"):
        repeats(Noise(0, 0, 0), images=1, num_left=None, most=0)


# Drift ---------------------------------------------------------------------------------------------------------------

Asking = Callable[[Generator], Tensor]
NUM_IMAGES = 16


def gaussian(draw: Generator) -> Tensor:
    """Fixed answers with noise that is stronger for some images and columns, and correlated between columns."""
    truth = 3 * torch.randn(NUM_IMAGES, 10, generator=seeded(99))
    scale = torch.linspace(0.1, 3, NUM_IMAGES)[:, None] * torch.linspace(0.5, 2, 10)
    common = torch.randn(NUM_IMAGES, 1, generator=draw)
    return truth + scale * (torch.randn(NUM_IMAGES, 10, generator=draw) + common)


def rarely(draw: Generator) -> Tensor:
    """Most answers are the same each time; a few are far off."""
    truth = torch.randn(NUM_IMAGES, 10, generator=seeded(98))
    hit = torch.rand(NUM_IMAGES, 1, generator=draw) < 0.2
    return truth + torch.where(hit, 5 * torch.randn(NUM_IMAGES, 10, generator=draw), 0.0)


def labels(draw: Generator) -> Tensor:
    """One label per image, another one in a quarter of the cases."""
    truth = torch.arange(NUM_IMAGES) % 5
    flipped = torch.rand(NUM_IMAGES, generator=draw) < 0.25
    return torch.eye(5)[torch.where(flipped, torch.randint(0, 5, (NUM_IMAGES,), generator=draw), truth)]


def alarms(ask: Asking, change: Callable[[Tensor], Tensor], test: Callable[..., bool], rounds: int) -> float:
    results = []
    for seed in range(rounds):
        draw = seeded(seed)
        first, second, after = ask(draw), ask(draw), change(ask(draw))
        results.append(test(first, second, after, generator=seeded(1000 + seed)))
    return float(np.mean(results))


@pytest.mark.parametrize("ask", [gaussian, rarely, labels])
def test_without_drift_there_are_few_false_alarms(ask: Asking) -> None:
    assert alarms(ask, lambda after: after, drifted, 300) <= 0.05 + 2.5 * (0.05 * 0.95 / 300) ** 0.5


def test_a_bare_comparison_cries_wolf() -> None:
    """Negative control: after differs from the first asking more than the second asking does, in the mean."""

    def bare(first: Tensor, second: Tensor, after: Tensor, *, generator: Generator) -> bool:
        return bool((after - first).square().sum() > (second - first).square().sum())

    assert alarms(gaussian, lambda after: after, bare, 300) > 0.3


@pytest.mark.parametrize(
    ("ask", "change"),
    [
        (gaussian, lambda after: after + 2.5),  # all scores
        (gaussian, lambda after: after + 4 * torch.eye(10)[4]),  # one class becomes likelier
        (rarely, lambda after: after + 2 * torch.randn(after.shape, generator=seeded(5))),  # each image its own way
        (labels, lambda after: after.roll(1, dims=1)),  # another order of labels
        (labels, lambda after: torch.eye(5)[torch.zeros(NUM_IMAGES, dtype=torch.int64)]),  # one label for all
    ],
)
def test_drift_is_seen(ask: Asking, change: Callable[[Tensor], Tensor]) -> None:
    assert alarms(ask, change, drifted, 60) >= 0.9


@pytest.mark.parametrize(("num_changed", "verdict"), [(0, False), (1, False), (3, False), (4, True), (8, True)])
def test_where_the_first_answers_agree_four_changed_images_are_drift(num_changed: int, verdict: bool) -> None:
    """The chance that the later answer is the odd one of three in all m images that have one is 3^-m."""
    first = torch.randn(8, 3, generator=seeded(7))
    after = first.clone()
    after[:num_changed, 1] += 0.01
    assert drifted(first, first.clone(), after, generator=seeded(0)) is verdict


def test_roundings_are_no_drift() -> None:
    first = torch.randn(8, 3, generator=seeded(7))
    assert not drifted(first, first.clone(), first * (1 + 2e-7), generator=seeded(0))


def test_the_same_seed_gives_the_same_verdict() -> None:
    draw = seeded(0)
    answers = gaussian(draw), gaussian(draw), gaussian(draw) + 0.8
    assert len({drifted(*answers, generator=seeded(3)) for _ in range(5)}) == 1


def test_shapes_are_checked() -> None:
    good, short, single = torch.rand(2, 4, 3), torch.rand(3, 3), torch.rand(1, 3)
    with pytest.raises(ShapeError, match="two answers"):
        measure_noise(good[0], short)
    with pytest.raises(ShapeError, match="two answers"):
        measure_noise(single, single)
    with pytest.raises(ShapeError, match="two answers"):
        drifted(good[0], good[1], short, generator=seeded(0))
