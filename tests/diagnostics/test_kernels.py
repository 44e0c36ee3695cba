"""Kernel distances: by their definitions, against torch-fidelity, block by block, and without bias."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import pixprompt.diagnostics.kernels as kernels
from pixprompt.core import DataError, ShapeError
from pixprompt.diagnostics.frechet import frechet_from_features
from pixprompt.diagnostics.kernels import CMMD, KID, Kernel, mmd, mmd_of_choices, subsets_mmd

from .toy import gaussian


def by_definition(first: Any, second: Any, kernel: str, *, biased: bool) -> float:
    """Double sums over single pairs."""

    def k(x: Any, y: Any) -> float:
        if kernel == "kid":
            return float((x @ y / len(x) + 1) ** 3)
        return float(np.exp(-((x - y) @ (x - y)) / (2 * 10**2)))

    def within(rows: Any) -> float:
        values = [k(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if biased or i != j]
        return float(np.mean(values))

    crossed = np.mean([k(x, y) for x in first for y in second])
    return (1000 if kernel == "cmmd" else 1) * (within(first) + within(second) - 2 * float(crossed))


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(("name", "kernel"), [("kid", KID), ("cmmd", CMMD)])
def test_definitions(name: str, kernel: Kernel, biased: bool) -> None:
    first, second = gaussian(17, 6, seed=1), gaussian(13, 6, seed=2, shift=0.4)
    expected = by_definition(first, second, name, biased=biased)
    assert mmd(first, second, kernel, biased=biased) == pytest.approx(expected, rel=1e-9)
    # Negative control: the other form is another number.
    assert mmd(first, second, kernel, biased=not biased) != pytest.approx(expected, rel=1e-3)


def test_cmmd_is_that_of_the_published_code_on_unit_vectors() -> None:
    """gamma = 1 / (2 sigma^2) with sigma = 10, scale 1000, diagonal kept: opposite points in closed form."""
    north, south = np.tile([0.0, 1.0], (4, 1)), np.tile([0.0, -1.0], (3, 1))
    expected = 1000 * (2 - 2 * np.exp(-4 / 200))
    assert mmd(north, south, CMMD, biased=True) == pytest.approx(expected, rel=1e-12)
    assert mmd(north, south, CMMD) == pytest.approx(expected, rel=1e-12)


def test_kid_agrees_with_torch_fidelity_on_shared_features() -> None:
    metric_kid = pytest.importorskip("torch_fidelity.metric_kid", reason="torch-fidelity is a peer of the tests")
    first, second = gaussian(120, 30, seed=1), gaussian(90, 30, seed=2, shift=0.2)
    options = {"kid_subsets": 20, "kid_subset_size": 40, "rng_seed": 2020, "verbose": False}
    theirs = metric_kid.kid_features_to_metric(torch.from_numpy(first), torch.from_numpy(second), **options)
    # The same draws: their generator is handed in.
    draws: Any = np.random.RandomState(2020)
    ours = subsets_mmd(first, second, KID, generator=draws, subsets=20, size=40)
    assert ours.mean() == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-6)
    assert ours.std() == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-6)


def test_subsets_of_the_whole_set_are_the_full_estimate() -> None:
    first, second = gaussian(40, seed=1), gaussian(40, seed=2, shift=0.2)
    distances = subsets_mmd(first, second, KID, generator=np.random.default_rng(0), subsets=3, size=40)
    np.testing.assert_allclose(distances, mmd(first, second, KID), rtol=1e-10)


@pytest.mark.parametrize("size", [3, 15])
def test_subsets_cost_one_pass_or_many_with_the_same_result(size: int) -> None:
    """Small subsets get matrices of their own, large ones share one pass; both are those of the drawn images."""
    first, second = gaussian(40, seed=1), gaussian(30, seed=2, shift=0.2)
    distances = subsets_mmd(first, second, KID, generator=np.random.default_rng(4), subsets=6, size=size)
    rng = np.random.default_rng(4)
    for value in distances:
        chosen = first[rng.choice(40, size, replace=False)], second[rng.choice(30, size, replace=False)]
        assert value == pytest.approx(mmd(*chosen, KID), rel=1e-9)


def test_blocks_and_order_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = gaussian(50, seed=1), gaussian(33, seed=2, shift=0.2)
    whole = mmd(first, second, KID)
    monkeypatch.setattr(kernels, "_BLOCK", 7)
    assert mmd(first, second, KID) == pytest.approx(whole, rel=1e-10)
    assert mmd(first[::-1], second, KID) == pytest.approx(whole, rel=1e-10)
    assert mmd(second, first, KID) == pytest.approx(whole, rel=1e-10)


def test_the_unbiased_form_has_no_bias_and_the_other_has() -> None:
    pairs = [(gaussian(12, seed=2 * number), gaussian(12, seed=2 * number + 1)) for number in range(300)]
    result = np.array([[mmd(*pair, KID, biased=biased) for biased in (False, True)] for pair in pairs])
    error = result.std(0) / np.sqrt(len(result))
    assert abs(result[:, 0].mean()) < 3 * error[0]
    assert result[:, 1].mean() > 10 * error[1]  # negative control


def test_choices_are_sets_of_their_own_and_repeats_meet_no_diagonal() -> None:
    first, second = gaussian(9, seed=1), gaussian(8, seed=2)
    left, right = np.zeros((2, 9)), np.zeros((2, 8))
    left[0, [0, 3, 4]], right[0, [1, 2, 6]] = 1, 1
    left[1, [0, 3]], right[1, [1, 2]] = 2, 1  # 0 and 3 twice: pairs of the same image do not count
    distances = mmd_of_choices(first, second, KID, left, right)
    assert distances[0] == pytest.approx(mmd(first[[0, 3, 4]], second[[1, 2, 6]], KID), rel=1e-10)
    assert distances[1] == pytest.approx(mmd(first[[0, 3]], second[[1, 2]], KID), rel=1e-10)


def test_refusals() -> None:
    with pytest.raises(DataError, match="subsets of 10"):
        subsets_mmd(gaussian(9), gaussian(20), KID, generator=np.random.default_rng(0), size=10)
    with pytest.raises(DataError, match="at least 2 images"):
        mmd(gaussian(1), gaussian(5), KID)
    with pytest.raises(ShapeError, match="12 and of 13"):
        mmd(gaussian(5), gaussian(5, 13), KID)


def test_features_that_are_not_finite_are_refused_by_every_distance() -> None:
    first, second = gaussian(17, 6, seed=1), gaussian(13, 6, seed=2)
    second[3, 2] = np.nan
    for distance in (lambda *sets: mmd(*sets, KID), frechet_from_features):
        with pytest.raises(DataError, match="NaN or infinite"):
            distance(first, second)
