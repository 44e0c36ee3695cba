"""How much of a reference a data set reaches in feature space: by classes, and by neighborhoods.

- classes: share of the reference's classes of which an image is the nearest reference image of at least one image of
  the data. It cannot exceed n / classes, so n stands beside it.
- images: the same share of reference images, which needs no labels.
- within: share of the data's images that lie in the ball of some reference image, whose radius is the distance to its
  k-th nearest neighbor among the reference (precision of arXiv:1904.06991).
- covered: share of those balls that hold at least one image of the data (coverage of arXiv:2002.09797).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core import DataError, ShapeError

__all__ = ["coverage", "radii"]

Floats = npt.NDArray[np.float64]
_BLOCK = 1024


def coverage(
    data: npt.NDArray[Any],
    reference: npt.NDArray[Any],
    labels: npt.NDArray[np.int64] | None,
    *,
    neighbors: int = 5,
) -> dict[str, Any]:
    """Measures how much of a reference a data set reaches.

    Args:
        data: Features (n, D).
        reference: Features (m, D), m > neighbors.
        labels: (m,), classes of the reference; None, or negative numbers, where they are not known.
        neighbors: k of the balls.

    Returns:
        {"classes", "num_classes", "images", "within", "covered", "neighbors"}; "classes" is None without labels, and
        "reason" says so.

    Raises:
        DataError: The reference has no more images than neighbors.
        ShapeError: The features differ in length.
    """
    if data.shape[1] != reference.shape[1]:
        raise ShapeError(f"features of {data.shape[1]} and of {reference.shape[1]} numbers cannot be compared.")
    balls = radii(reference, neighbors)
    nearest = np.empty(len(data), dtype=np.int64)
    within = np.zeros(len(data), dtype=bool)
    reached = np.zeros(len(reference), dtype=bool)
    for start, squares in _squares(data, reference):
        part = slice(start, start + len(squares))
        nearest[part] = squares.argmin(1)
        hits = squares <= balls
        within[part] = hits.any(1)
        reached |= hits.any(0)
    has_labels = labels is not None and len(labels) > 0 and bool((labels >= 0).all())
    classes = None if labels is None or not has_labels else len(np.unique(labels[nearest])) / len(np.unique(labels))
    return {
        "classes": classes,
        "num_classes": len(np.unique(labels)) if labels is not None and has_labels else None,
        "images": len(np.unique(nearest)) / len(reference),
        "within": float(within.mean()),
        "covered": float(reached.mean()),
        "neighbors": neighbors,
        **({} if has_labels else {"reason": "no share of classes: not every image of the reference has a label"}),
    }


def radii(reference: npt.NDArray[Any], neighbors: int) -> Floats:
    """Returns the squared distance of each image (m, D) to its k-th nearest other image, (m,)."""
    if len(reference) <= neighbors:
        raise DataError(f"{neighbors} neighbors need more than {neighbors} reference images, got {len(reference)}.")
    squared_radii = np.empty(len(reference))
    for start, squares in _squares(reference, reference):
        # The image itself is among them, at 0, so that the k-th neighbor is number k from 0.
        squared_radii[start : start + len(squares)] = np.partition(squares, neighbors, axis=1)[:, neighbors]
    return squared_radii


def _squares(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> Iterator[tuple[int, Floats]]:
    """Yields squared distances (block, m) for each block of rows, with its beginning."""
    others = second.astype(np.float64)
    lengths = (others * others).sum(1)
    for start in range(0, len(first), _BLOCK):
        rows = first[start : start + _BLOCK].astype(np.float64)
        squares = (rows * rows).sum(1)[:, None] + lengths - 2 * (rows @ others.T)
        yield start, squares.clip(min=0)
