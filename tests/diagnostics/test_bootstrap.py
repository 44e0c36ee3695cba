"""Intervals that hold what they promise, and floors that are what halves of one set are apart."""

from __future__ import annotations

import numpy as np
import pytest

from pixprompt.core import DataError
from pixprompt.diagnostics.bootstrap import (
    centered_interval,
    frechet_floor,
    frechet_interval,
    halves,
    mmd_floor,
    mmd_interval,
    resamples,
)
from pixprompt.diagnostics.frechet import frechet_distance, frechet_from_features
from pixprompt.diagnostics.kernels import CMMD, KID, Kernel, mmd
from pixprompt.diagnostics.moments import statistics

from .toy import DIM, gaussian


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_resamples_and_halves() -> None:
    weights = resamples(9, 50, generator=generator())
    assert weights.shape == (50, 9)
    assert (weights.sum(1) == 9).all()
    assert weights.max() > 1
    first, second = halves(9, 50, generator=generator())
    assert (first.sum(1) == 4).all()
    assert (second.sum(1) == 4).all()
    assert not (first & second).any()
    assert not (first == first[0]).all()


def test_the_centered_interval_keeps_the_spread_and_leaves_the_shift() -> None:
    draws = np.linspace(10, 20, 1001)
    assert centered_interval(draws, 3.0) == pytest.approx([3 - 4.75, 3 + 4.75])


# Below, at and above D = 12 images, what the distance varies by when whole new sets are drawn.
@pytest.mark.parametrize(("num", "other"), [(8, 8), (12, 30), (80, 60)])
def test_the_frechet_interval_is_as_wide_as_new_sets_vary(num: int, other: int) -> None:
    values, widths, naive = [], [], []
    rng = generator()
    for draw in range(80):
        first, second = gaussian(num, seed=2 * draw), gaussian(other, seed=2 * draw + 1, shift=0.3)
        values.append(frechet_from_features(first, second))
        low, high = frechet_interval(first, second, values[-1], moments=None, repeats=100, generator=rng)
        assert low < values[-1] < high
        widths.append((high - low) / 3.92)
        again = [frechet_from_features(first[rng.integers(0, num, num)], second[rng.integers(0, other, other)])
                 for _ in range(15)]  # fmt: skip
        naive.append((np.std(again), np.mean(again)))
    assert 0.8 < np.mean(widths) / np.std(values) < 1.6
    # Negative control: distances of resampled images, which repeat themselves, lie too high.
    assert np.mean([mean for _, mean in naive]) > np.mean(values) + 0.2 * np.mean(values)


def test_both_forms_of_the_frechet_interval_agree() -> None:
    first, second = gaussian(60, seed=1), gaussian(40, seed=2, shift=0.3)
    moments = statistics(first), statistics(second)
    value = frechet_distance(*moments)
    results = [
        frechet_interval(first, second, value, moments=arguments, repeats=200, generator=generator(5))
        for arguments in (None, moments)
    ]
    np.testing.assert_allclose(results[0], results[1], rtol=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_the_kernel_interval_covers(shift: float) -> None:
    rng, dim = generator(), 6
    truth = mmd(gaussian(3000, dim, seed=1), gaussian(3000, dim, seed=2, shift=shift), KID) if shift else 0.0
    hits = []
    for draw in range(100):
        first, second = gaussian(40, dim, seed=10 + draw), gaussian(50, dim, seed=5000 + draw, shift=shift)
        value, (low, high) = mmd_interval(first, second, KID, repeats=200, generator=rng)
        assert value == pytest.approx(mmd(first, second, KID), rel=1e-10)
        hits.append(low <= truth <= high)
    assert np.mean(hits) >= 0.92


def test_frechet_floor_is_the_bias_of_small_sets() -> None:
    small, floor = frechet_floor(gaussian(40, seed=1), repeats=6, generator=generator())
    large, _ = frechet_floor(gaussian(800, seed=1), repeats=6, generator=generator())
    assert floor["n"] == 20
    assert floor["repeats"] == 6
    assert floor["max"] >= small > 3 * large > 0
    # The same by hand, with the same halves.
    features = gaussian(40, seed=1)
    masks = halves(40, 6, generator=generator())
    expected = [frechet_from_features(features[one], features[two]) for one, two in zip(*masks, strict=True)]
    assert small == pytest.approx(np.mean(expected), rel=1e-12)


@pytest.mark.parametrize("kernel", [KID, CMMD], ids=["kid", "cmmd"])
def test_kernel_floor_is_that_of_halves_and_about_zero(kernel: object) -> None:
    features = gaussian(60, seed=1)
    floor, values = mmd_floor(features, kernel, repeats=8, generator=generator())  # type: ignore[arg-type]
    masks = halves(60, 8, generator=generator())
    expected = [mmd(features[one], features[two], kernel) for one, two in zip(*masks, strict=True)]  # type: ignore[arg-type]
    assert floor == pytest.approx(np.mean(expected), rel=1e-8)
    assert values["max"] == pytest.approx(max(expected), rel=1e-8)
    apart = mmd(features, gaussian(60, DIM, seed=2, shift=1.0), kernel)  # type: ignore[arg-type]
    assert abs(floor) < 0.2 * apart


def test_the_same_generator_gives_the_same_interval() -> None:
    first, second = gaussian(30, seed=1), gaussian(20, seed=2)
    state = np.random.get_state()[1].copy()  # type: ignore[index,union-attr]  # noqa: NPY002
    runs = [mmd_interval(first, second, KID, repeats=20, generator=generator(seed)) for seed in (4, 4, 5)]
    assert runs[0] == runs[1] != runs[2]
    assert np.array_equal(state, np.random.get_state()[1])  # type: ignore[index]  # noqa: NPY002


@pytest.mark.parametrize("kernel", [KID, CMMD])
def test_few_images_have_an_interval_too(kernel: Kernel) -> None:
    """Of four images one in 64 resamples holds a single one, which has nothing to be compared with."""
    few, many = gaussian(4), gaussian(20, seed=1, shift=0.3)
    assert (np.count_nonzero(resamples(4, 500, generator=generator()), axis=1) < 2).any()
    value, (low, high) = mmd_interval(few, many, kernel, repeats=500, generator=generator())
    assert low < value < high
    with pytest.raises(DataError, match="at least 2 images"):
        mmd_interval(few[:1], many, kernel, repeats=5, generator=generator())
