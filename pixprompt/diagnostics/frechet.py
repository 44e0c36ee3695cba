"""The Frechet distance between Gaussians that are fitted to features.

d = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1^(1/2) S2 S1^(1/2))^(1/2)

The last trace is taken from the eigenvalues of that symmetric matrix, or, where a set has fewer images than features
have numbers, as the nuclear norm of A B^T with the centred features A and B over sqrt(n - 1): both are exact, and
neither takes the square root of a product, whose eigenvalues rounding drives negative or complex.

Reference: arXiv:1706.08500; Dowson and Landau (1982), equation 16.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..core import DataError, ShapeError
from .moments import Statistics, as_finite

__all__ = ["FEW", "frechet_distance", "frechet_from_features", "influences", "influences_from_features"]

Floats = npt.NDArray[np.float64]
FEW = 2000
"""Below this many images the nuclear norm is faster than the eigenvalues at D = 2048."""
_BLOCK = 1024
_RANK = 1e-10


def frechet_distance(data: Statistics, reference: Statistics) -> float:
    """Returns the Frechet distance of two sets from their statistics, by symmetric eigenvalues.

    Raises:
        ShapeError: Their features differ in length.
    """
    _check_dims(len(data.mean), len(reference.mean))
    shift = data.mean - reference.mean
    root = _root(data.covariance)
    values = np.linalg.eigvalsh(_symmetric(root @ reference.covariance @ root))
    overlap = float(np.sqrt(values.clip(min=0)).sum())
    return float(shift @ shift + np.trace(data.covariance) + np.trace(reference.covariance) - 2 * overlap)


def frechet_from_features(data: npt.NDArray[Any], reference: npt.NDArray[Any]) -> float:
    """Returns the Frechet distance of features (n, D) and (m, D), by singular values; for fewer than `FEW` images.

    Raises:
        DataError: A set has fewer than 2 images.
        ShapeError: The features differ in length.
    """
    (first, mean1), (second, mean2) = _centered(data, reference)
    shift = mean1 - mean2
    overlap = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    return float(shift @ shift + (first**2).sum() + (second**2).sum() - 2 * overlap)


def influences(data: Statistics, reference: Statistics, features: npt.NDArray[Any]) -> Floats:
    """Returns how much each image of `data` moves the distance to first order, (n,); their mean is about 0.

    The derivative by the covariance is I - T, with the optimal map T = S1^(-1/2) (S1^(1/2) S2 S1^(1/2))^(1/2)
    S1^(-1/2), taken within the span of the set.

    Args:
        data: Statistics of the set itself.
        reference: Of the other set.
        features: (n, D) of the set itself.
    """
    values, vectors = np.linalg.eigh(data.covariance)
    in_span = values > values.max() * _RANK
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    inverse = (vectors[:, in_span] / np.sqrt(values[in_span])) @ vectors[:, in_span].T
    gradient = np.eye(len(values)) - inverse @ _root(_symmetric(root @ reference.covariance @ root)) @ inverse
    shift = 2 * (data.mean - reference.mean)
    offset = float((gradient * data.covariance).sum())
    terms = []
    for start in range(0, len(features), _BLOCK):
        block = features[start : start + _BLOCK].astype(np.float64) - data.mean
        terms.append(block @ shift + ((block @ gradient) * block).sum(1) - offset)
    return np.concatenate(terms)


def influences_from_features(data: npt.NDArray[Any], reference: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """Returns the same for every image of both sets, (n,) and (m,), by singular values; for few images.

    With A B^T = U S V^T, the nuclear norm changes by half of (U S U^T)_ii when row i of A gains weight.
    """
    (first, mean1), (second, mean2) = _centered(data, reference)
    left, values, right = np.linalg.svd(first @ second.T, full_matrices=False)
    influences = []
    for rows, vectors, shift in ((first, left.T, mean1 - mean2), (second, right, mean2 - mean1)):
        free = len(rows) - 1
        squares = free * ((rows**2).sum(1) - values @ vectors**2)
        influences.append(2 * np.sqrt(free) * rows @ shift + squares - (rows**2).sum() + values.sum())
    return influences[0], influences[1]


def _centered(data: npt.NDArray[Any], reference: npt.NDArray[Any]) -> list[tuple[Floats, Floats]]:
    """Centred rows over sqrt(n - 1), and the mean, of both sets."""
    _check_dims(data.shape[1], reference.shape[1])
    centered = []
    for features in (data, reference):
        if len(features) < 2:
            raise DataError(f"a Frechet distance needs at least 2 images in each set, got {len(features)}.")
        rows = as_finite(features)
        mean = rows.mean(0)
        centered.append(((rows - mean) / np.sqrt(len(rows) - 1), mean))
    return centered


def _root(matrix: Floats) -> Floats:
    """The square root of a symmetric matrix without negative directions."""
    values, vectors = np.linalg.eigh(matrix)
    root: Floats = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    return root


def _symmetric(matrix: Floats) -> Floats:
    return (matrix + matrix.T) / 2


def _check_dims(first: int, second: int) -> None:
    if first != second:
        raise ShapeError(f"features of {first} and of {second} numbers cannot be compared; use one extractor for both.")
