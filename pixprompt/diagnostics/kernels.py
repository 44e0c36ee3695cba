"""Kernel distances: the squared maximum mean discrepancy of two sets of features.

KID is its unbiased estimate with the kernel (x.y / D + 1)^3 on Inception features (arXiv:1801.01401). CMMD takes
exp(-|x - y|^2 / (2 * 10^2)) on unit-length CLIP embeddings and multiplies by 1000 (arXiv:2401.09603); the code that
was published with it keeps the diagonal, which makes it biased, so both forms are given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..core import DataError, ShapeError
from .moments import as_finite

__all__ = ["CMMD", "KID", "Chooser", "Kernel", "mmd", "mmd_of_choices", "quadratic", "subsets_mmd"]

Floats = npt.NDArray[np.float64]
_BLOCK = 1024


class Chooser(Protocol):
    """What draws subsets: a numpy Generator."""

    def choice(self, a: int, size: int, replace: bool) -> Any:
        """Returns `size` of the numbers 0..a-1."""
        ...


@dataclass(frozen=True)
class Kernel:
    """A kernel with the factor that its distance is reported with.

    Attributes:
        name: In words, with its constants.
        matrix: Features (n, D), (m, D) -> (n, m).
        diagonal: Features (n, D) -> k(x, x), (n,).
        scale: Of the reported number.
    """

    name: str
    matrix: Callable[[Floats, Floats], Floats]
    diagonal: Callable[[Floats], Floats]
    scale: float = 1.0


def _polynomial(first: Floats, second: Floats) -> Floats:
    base = first @ second.T / first.shape[1] + 1
    cubed: Floats = base * base * base
    return cubed


def _polynomial_diagonal(rows: Floats) -> Floats:
    diagonal: Floats = ((rows * rows).sum(1) / rows.shape[1] + 1) ** 3
    return diagonal


_GAMMA = 1 / (2 * 10.0**2)


def _gaussian(first: Floats, second: Floats) -> Floats:
    squares = (first * first).sum(1)[:, None] + (second * second).sum(1) - 2 * (first @ second.T)
    values: Floats = np.exp(-_GAMMA * squares.clip(min=0))
    return values


def _gaussian_diagonal(rows: Floats) -> Floats:
    return np.ones(len(rows))


KID = Kernel("(x.y / D + 1)^3", _polynomial, _polynomial_diagonal)
CMMD = Kernel("exp(-|x - y|^2 / 200), times 1000", _gaussian, _gaussian_diagonal, scale=1000.0)


def mmd(data: npt.NDArray[Any], reference: npt.NDArray[Any], kernel: Kernel, *, biased: bool = False) -> float:
    """Returns the squared maximum mean discrepancy of all images, block by block.

    Args:
        data: Features (n, D).
        reference: Features (m, D).
        biased: Keeps the diagonal, as the published code of CMMD does.

    Raises:
        DataError: A set has fewer than 2 images.
        ShapeError: The features differ in length.
    """
    ones = np.ones((1, len(data))), np.ones((1, len(reference)))
    return float(mmd_of_choices(data, reference, kernel, *ones, biased=biased)[0])


def mmd_of_choices(
    data: npt.NDArray[Any],
    reference: npt.NDArray[Any],
    kernel: Kernel,
    data_weights: Floats,
    reference_weights: Floats,
    *,
    biased: bool = False,
) -> Floats:
    """Returns the discrepancy for each of several choices of images, from one pass over the kernel matrices.

    An image that occurs twice in a choice is never compared with itself: such pairs would bring back the diagonal
    that the unbiased form leaves out.

    Args:
        data: Features (n, D).
        reference: Features (m, D).
        data_weights: (B, n), how often each image occurs.
        reference_weights: (B, m), the same of the reference.
        biased: Keeps the diagonal.

    Returns:
        (B,).

    Raises:
        DataError: A choice has fewer than 2 different images.
        ShapeError: The features differ in length.
    """
    if data.shape[1] != reference.shape[1]:
        raise ShapeError(f"features of {data.shape[1]} and of {reference.shape[1]} numbers cannot be compared.")
    total = np.zeros(len(data_weights))
    for rows, weights in ((data, data_weights), (reference, reference_weights)):
        if (np.count_nonzero(weights, axis=1) < 2).any():
            raise DataError("a kernel distance needs at least 2 images in each set.")
        sums, pairs = quadratic(rows, rows, kernel, weights, weights), weights.sum(1) ** 2
        if not biased:
            sums = sums - weights**2 @ kernel.diagonal(rows.astype(np.float64))
            pairs = pairs - (weights**2).sum(1)
        total += sums / pairs
    crossed = quadratic(data, reference, kernel, data_weights, reference_weights)
    total -= 2 * crossed / (data_weights.sum(1) * reference_weights.sum(1))
    return total * kernel.scale


def quadratic(first: npt.NDArray[Any], second: npt.NDArray[Any], kernel: Kernel, left: Floats, right: Floats) -> Floats:
    """Returns the weighted sums of a kernel matrix, left K right^T row by row, (B,); K is never whole in memory."""
    sums = np.zeros(len(left))
    for start in range(0, len(first), _BLOCK):
        rows = as_finite(first[start : start + _BLOCK])
        for begin in range(0, len(second), _BLOCK):
            block = kernel.matrix(rows, second[begin : begin + _BLOCK].astype(np.float64))
            sums += ((left[:, start : start + _BLOCK] @ block) * right[:, begin : begin + _BLOCK]).sum(1)
    return sums


def subsets_mmd(
    data: npt.NDArray[Any],
    reference: npt.NDArray[Any],
    kernel: Kernel,
    *,
    generator: Chooser,
    subsets: int = 100,
    size: int = 1000,
) -> Floats:
    """Returns the unbiased discrepancy of random subsets, (subsets,), as KID is usually reported: their mean.

    Args:
        data: Features (n, D).
        reference: Features (m, D).
        generator: Draws from `data`, then from `reference`, subset after subset.
        size: Images of each set in a subset.

    Raises:
        DataError: A set has fewer images than a subset.
    """
    if min(len(data), len(reference)) < size:
        raise DataError(f"subsets of {size} need as many images in each set, got {len(data)} and {len(reference)}.")
    draws = [
        tuple(np.asarray(generator.choice(len(rows), size, replace=False)) for rows in (data, reference))
        for _ in range(subsets)
    ]
    pairs = len(data) ** 2 + len(reference) ** 2 + len(data) * len(reference)
    if pairs > 3 * subsets * size**2:
        return np.array([mmd(data[np.sort(first)], reference[np.sort(second)], kernel) for first, second in draws])
    # Subsets that overlap much: one pass over the whole matrices is cheaper than a matrix for each.
    weights = np.zeros((subsets, len(data))), np.zeros((subsets, len(reference)))
    for number, places in enumerate(draws):
        for side, indices in zip(weights, places, strict=True):
            side[number, indices] = 1
    return mmd_of_choices(data, reference, kernel, weights[0], weights[1])
