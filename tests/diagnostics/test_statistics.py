"""Mean and covariance in one pass: as computed at once, where cancellation would bite, saved and reused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pixprompt.diagnostics.moments as module
from pixprompt.core import DataError, ShapeError
from pixprompt.diagnostics.features.feature_store import FeatureSet
from pixprompt.diagnostics.moments import (
    Moments,
    Statistics,
    cached_statistics,
    load_statistics,
    save_statistics,
    statistics,
)

from .toy import DIM, gaussian, toy_extractor


@pytest.mark.parametrize("cuts", [[], [1], [50], [3, 4, 99], list(range(1, 100))])
def test_streamed_equals_direct(cuts: list[int]) -> None:
    features = gaussian(100, seed=1, shift=5)
    moments = Moments(DIM)
    for block in np.split(features, cuts):
        moments.add(block)
    statistic = moments.statistics()
    assert statistic.num == 100
    np.testing.assert_allclose(statistic.mean, features.mean(0), rtol=1e-12)
    np.testing.assert_allclose(statistic.covariance, np.cov(features, rowvar=False), rtol=1e-10, atol=1e-14)


def test_large_means_cost_no_digits() -> None:
    features = gaussian(500, seed=1) + 1e7
    exact = np.cov(features - 1e7, rowvar=False)
    moments = Moments(DIM)
    for block in np.array_split(features, 9):
        moments.add(block)
    np.testing.assert_allclose(moments.statistics().covariance, exact, atol=1e-7)
    # Negative control: the difference of sums of squares, which the streamed update avoids.
    naive = (features.T @ features - len(features) * np.outer(features.mean(0), features.mean(0))) / 499
    assert np.abs(naive - exact).max() > 1e-3


def test_float32_rows_are_summed_in_float64() -> None:
    features = (gaussian(3000, seed=1) + 100).astype(np.float32)
    exact = np.cov(features.astype(np.float64), rowvar=False)
    np.testing.assert_allclose(statistics(features).covariance, exact, rtol=1e-9, atol=1e-12)


def test_saved_and_read_back(tmp_path: Path) -> None:
    moments, about = statistics(gaussian(30)), {"name": "digits", "extractor": "inception-2015"}
    save_statistics(tmp_path / "s.safetensors", moments, about)
    back, facts = load_statistics(tmp_path / "s.safetensors")
    assert (back.num, facts) == (30, about)
    np.testing.assert_array_equal(back.mean, moments.mean)
    np.testing.assert_array_equal(back.covariance, moments.covariance)


def test_reused_by_name_and_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def features(digest: str, seed: int) -> FeatureSet:
        return FeatureSet(gaussian(20, seed=seed).astype(np.float32), np.zeros(20, np.int64), digest)

    first = cached_statistics(features("a", 1), toy_extractor(), name="folder:/x y", cache=tmp_path)
    other = cached_statistics(features("b", 2), toy_extractor(), name="folder:/x y", cache=tmp_path)
    assert not np.array_equal(first.mean, other.mean)

    def never(_: object) -> Statistics:
        raise AssertionError("computed again")

    monkeypatch.setattr(module, "statistics", never)
    again = cached_statistics(features("a", 1), toy_extractor(), name="folder:/x y", cache=tmp_path)
    np.testing.assert_array_equal(again.covariance, first.covariance)
    with pytest.raises(AssertionError, match="computed again"):  # another digest is another set
        cached_statistics(features("c", 3), toy_extractor(), name="folder:/x y", cache=tmp_path)


def test_cached_statistics_of_other_features_are_not_believed(tmp_path: Path) -> None:
    features = FeatureSet(gaussian(20, seed=1).astype(np.float32), np.zeros(20, np.int64), "a")
    first = cached_statistics(features, toy_extractor(), name="x", cache=tmp_path)
    (path,) = (tmp_path / "diagnostics/statistics").iterdir()
    save_statistics(path, statistics(gaussian(20, seed=2)), {"name": "x", "digest": "b"})
    again = cached_statistics(features, toy_extractor(), name="x", cache=tmp_path)
    np.testing.assert_array_equal(again.mean, first.mean)


def test_damaged_statistics_are_computed_again(tmp_path: Path) -> None:
    features = FeatureSet(gaussian(20, seed=1).astype(np.float32), np.zeros(20, np.int64), "a")
    first = cached_statistics(features, toy_extractor(), name="x", cache=tmp_path)
    (path,) = (tmp_path / "diagnostics/statistics").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    again = cached_statistics(features, toy_extractor(), name="x", cache=tmp_path)
    np.testing.assert_array_equal(again.covariance, first.covariance)
    assert load_statistics(path)[0].num == 20


def test_refusals(tmp_path: Path) -> None:
    moments = Moments(DIM)
    moments.add(gaussian(1))
    with pytest.raises(DataError, match="at least 2 images, got 1"):
        moments.statistics()
    with pytest.raises(ShapeError, match=r"expected features \(N, 12\)"):
        moments.add(gaussian(4, 13))
    with pytest.raises(DataError, match="NaN"):
        moments.add(np.full((2, DIM), np.nan))
    (tmp_path / "broken.safetensors").write_bytes(b"no tensors at all")
    with pytest.raises(DataError, match="cannot read the statistics"):
        load_statistics(tmp_path / "broken.safetensors")
