"""How far a number can be trusted: intervals over resampled images, and the floor that sample size alone explains.

A Frechet distance is resampled to first order: each image has an influence on it, and a resample moves the value by
the mean of its images' influences. Computing the distance anew on resampled images would repeat images, which adds
the bias of a small set a second time and makes the spread up to twice too large; the first-order form is 0 to 40% too
wide when n is about D or less, and exact for many images (tests/diagnostics/test_bootstrap.py). The bias itself is not
in the interval; the floor shows it: the same distance between two random halves of one set, where the true one is 0.

For kernel distances a resample counts no image against itself, which keeps them unbiased; a resample is then a product
of weights with one kernel matrix, so that many cost little more than one. These intervals err on the wide side, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .frechet import (
    FEW,
    frechet_distance,
    frechet_from_features,
    influences,
    influences_from_features,
)
from .kernels import Kernel, mmd_of_choices, quadratic
from .moments import Statistics, statistics

__all__ = ["centered_interval", "frechet_floor", "frechet_interval", "halves", "mmd_floor", "mmd_interval", "resamples"]

Floats = npt.NDArray[np.float64]


def resamples(num: int, repeats: int, *, generator: np.random.Generator) -> Floats:
    """Returns how often each of `num` images occurs in each bootstrap resample, (repeats, num)."""
    return generator.multinomial(num, np.full(num, 1 / num), size=repeats).astype(np.float64)


def halves(num: int, repeats: int, *, generator: np.random.Generator) -> tuple[npt.NDArray[np.bool_], ...]:
    """Returns two disjoint random halves of equal size as masks, (repeats, num) each; an odd image is left out."""
    first = np.zeros((repeats, num), dtype=bool)
    second = np.zeros((repeats, num), dtype=bool)
    for number in range(repeats):
        order = generator.permutation(num)
        first[number, order[: num // 2]] = True
        second[number, order[num // 2 : 2 * (num // 2)]] = True
    return first, second


def centered_interval(draws: Floats, value: float) -> list[float]:
    """Returns the 95% interval: the spread of resampled values around their own mean, laid around the value."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return [float(value + low - draws.mean()), float(value + high - draws.mean())]


def frechet_interval(
    data: npt.NDArray[Any],
    reference: npt.NDArray[Any],
    value: float,
    *,
    moments: tuple[Statistics, Statistics] | None,
    repeats: int,
    generator: np.random.Generator,
) -> list[float]:
    """Returns the 95% interval of a Frechet distance over resampled images, to first order.

    Args:
        data: Features (n, D).
        reference: Features (m, D).
        value: The distance itself.
        moments: Statistics of both, for large sets; None takes the singular values of the features.
        repeats: B.
    """
    if moments is None:
        terms = influences_from_features(data, reference)
    else:
        terms = influences(moments[0], moments[1], data), influences(moments[1], moments[0], reference)
    draws = np.full(repeats, value)
    for one in terms:
        for number in range(repeats):
            draws[number] += resamples(len(one), 1, generator=generator)[0] @ one / len(one)
    return centered_interval(draws, value)


def frechet_floor(
    features: npt.NDArray[Any], *, repeats: int, generator: np.random.Generator
) -> tuple[float, dict[str, Any]]:
    """Returns the mean Frechet distance of random halves of a set, and how it was made; one repeat for large sets."""
    half = len(features) // 2
    repeats = repeats if half < FEW else 1
    distances = []
    for first, second in zip(*halves(len(features), repeats, generator=generator), strict=True):
        parts = features[np.flatnonzero(first)], features[np.flatnonzero(second)]
        if half < FEW:
            distances.append(frechet_from_features(*parts))
        else:
            distances.append(frechet_distance(statistics(parts[0]), statistics(parts[1])))
    return float(np.mean(distances)), {"n": half, "repeats": repeats, "max": float(np.max(distances))}


def mmd_interval(
    data: npt.NDArray[Any],
    reference: npt.NDArray[Any],
    kernel: Kernel,
    *,
    repeats: int,
    generator: np.random.Generator,
) -> tuple[float, list[float]]:
    """Returns an unbiased kernel distance of all images and its 95% percentile interval over resampled images.

    Args:
        data: Features (n, D).
        reference: Features (m, D).
        repeats: B.
    """
    weights = [
        np.concatenate([np.ones((1, len(rows))), _paired_resamples(len(rows), repeats, generator)])
        for rows in (data, reference)
    ]
    distances = mmd_of_choices(data, reference, kernel, weights[0], weights[1])
    low, high = np.quantile(distances[1:], [0.025, 0.975])
    return float(distances[0]), [float(low), float(high)]


def _paired_resamples(num: int, repeats: int, generator: np.random.Generator) -> Floats:
    """Returns resamples in which no image is alone, which would leave it nothing to be compared with."""
    counts = resamples(num, repeats, generator=generator)
    while num > 1 and (too_few := np.count_nonzero(counts, axis=1) < 2).any():
        counts[too_few] = resamples(num, int(too_few.sum()), generator=generator)
    return counts


def mmd_floor(
    features: npt.NDArray[Any], kernel: Kernel, *, repeats: int, generator: np.random.Generator
) -> tuple[float, dict[str, Any]]:
    """Returns the mean unbiased kernel distance of random halves of a set, about 0, and the largest one."""
    first, second = (part.astype(np.float64) for part in halves(len(features), repeats, generator=generator))
    half = len(features) // 2
    rows, columns = np.concatenate([first, second, first]), np.concatenate([first, second, second])
    sums = quadratic(features, features, kernel, rows, columns).reshape(3, repeats)
    diagonal = kernel.diagonal(features.astype(np.float64))
    within = sums[0] - first @ diagonal + sums[1] - second @ diagonal
    distances = kernel.scale * (within / (half * (half - 1)) - 2 * sums[2] / half**2)
    return float(distances.mean()), {"n": half, "repeats": repeats, "max": float(distances.max())}
