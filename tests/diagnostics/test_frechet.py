"""The Frechet distance: in closed form, against matrix square roots and torch-fidelity, in whatever order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pixprompt.core import DataError, ShapeError
from pixprompt.diagnostics.frechet import frechet_distance, frechet_from_features, influences, influences_from_features
from pixprompt.diagnostics.moments import Statistics, statistics

from .toy import gaussian


def moments(mean: list[float], covariance: list[list[float]]) -> Statistics:
    return Statistics(100, np.array(mean), np.array(covariance))


CLOSED = [
    # One dimension: (m1 - m2)^2 + (s1 - s2)^2.
    (moments([1.0], [[4.0]]), moments([3.0], [[9.0]]), 4 + 1),
    # Commuting covariances: the sum over axes.
    (moments([0, 0], [[4, 0], [0, 1]]), moments([1, 2], [[1, 0], [0, 16]]), 5 + 1 + 9),
    # A point: |m1 - m2|^2 + tr S2.
    (moments([0, 0], [[0, 0], [0, 0]]), moments([0, 3], [[2, 1], [1, 2]]), 9 + 4),
    # The same set.
    (moments([1, 2], [[2, 1], [1, 2]]), moments([1, 2], [[2, 1], [1, 2]]), 0),
    # 2x2 without common axes: tr sqrt(S1 S2) = sqrt(tr(S1 S2) + 2 sqrt(det(S1 S2))).
    (moments([0, 0], [[2, 1], [1, 2]]), moments([0, 0], [[3, 0], [0, 1]]), 8 - 2 * np.sqrt(8 + 2 * 3)),
]


@pytest.mark.parametrize(("first", "second", "expected"), CLOSED)
def test_gaussians_in_closed_form(first: Statistics, second: Statistics, expected: float) -> None:
    assert frechet_distance(first, second) == pytest.approx(expected, abs=1e-12)
    assert frechet_distance(second, first) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("num", "other"), [(10, 8), (10, 50), (200, 90)])
def test_both_solvers_agree_with_the_square_root_of_scipy(num: int, other: int) -> None:
    linalg = pytest.importorskip("scipy.linalg")
    first, second = gaussian(num, 24, seed=1), gaussian(other, 24, seed=2, shift=0.3, scale=1.4)
    one, two = statistics(first), statistics(second)
    # Of a regularised product: the root of a singular one is not defined.
    root = linalg.sqrtm(one.covariance @ two.covariance + 1e-13 * np.eye(24)).real
    shift = one.mean - two.mean
    expected = shift @ shift + np.trace(one.covariance + two.covariance - 2 * root)
    assert frechet_from_features(first, second) == pytest.approx(expected, rel=2e-5)
    assert frechet_distance(one, two) == pytest.approx(frechet_from_features(first, second), rel=1e-7)


def test_agrees_with_torch_fidelity_on_shared_features() -> None:
    metric_fid = pytest.importorskip("torch_fidelity.metric_fid", reason="torch-fidelity is a peer of the tests")
    first, second = gaussian(300, 40, seed=1), gaussian(250, 40, seed=2, shift=0.1)
    theirs = metric_fid.fid_statistics_to_metric(
        metric_fid.fid_features_to_statistics(torch.from_numpy(first)),
        metric_fid.fid_features_to_statistics(torch.from_numpy(second)),
        verbose=False,
    )["frechet_inception_distance"]
    assert frechet_from_features(first, second) == pytest.approx(theirs, rel=1e-6)
    assert frechet_distance(statistics(first), statistics(second)) == pytest.approx(theirs, rel=1e-6)
    # Negative control: the divisor n instead of n - 1 is another number.
    biased = [Statistics(len(x), x.mean(0), np.cov(x, rowvar=False, bias=True)) for x in (first, second)]
    assert frechet_distance(*biased) != pytest.approx(theirs, rel=1e-6)


def test_order_does_not_matter() -> None:
    first, second = gaussian(60, 20, seed=1), gaussian(50, 20, seed=2, shift=0.2)
    shuffled = first[np.random.default_rng(0).permutation(60)]
    assert frechet_from_features(shuffled, second) == pytest.approx(frechet_from_features(first, second), rel=1e-12)
    assert frechet_from_features(second, first) == pytest.approx(frechet_from_features(first, second), rel=1e-12)


@pytest.mark.parametrize("num", [15, 60])
def test_influences_are_the_derivatives(num: int) -> None:
    """Against the distance itself with a little more weight on one image; and both solvers' forms agree."""
    first, second = gaussian(num, 20, seed=1), gaussian(40, 20, seed=2, shift=0.2)
    one, two = statistics(first), statistics(second)
    terms, others = influences_from_features(first, second)
    np.testing.assert_allclose(influences(one, two, first), terms, atol=1e-5)
    np.testing.assert_allclose(influences(two, one, second), others, atol=1e-5)
    step = 1e-5
    for index in (0, 7):
        # The law (1 - t) P + t delta_x, in the divisor's units of n - 1.
        centred = first[index] - one.mean
        nudged = Statistics(
            num, one.mean + step * centred, one.covariance + step * (np.outer(centred, centred) - one.covariance)
        )
        slope = (frechet_distance(nudged, two) - frechet_distance(one, two)) / step
        assert slope == pytest.approx(terms[index], rel=5e-3, abs=5e-3)


def test_refusals() -> None:
    with pytest.raises(ShapeError, match="12 and of 13"):
        frechet_from_features(gaussian(5), gaussian(5, 13))
    with pytest.raises(ShapeError, match="1 and of 2"):
        frechet_distance(CLOSED[0][0], CLOSED[1][0])
    with pytest.raises(DataError, match="at least 2 images"):
        frechet_from_features(gaussian(1), gaussian(5))
