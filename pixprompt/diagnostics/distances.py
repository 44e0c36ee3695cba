"""Distances between image sets and their diversity, in one call each; `measure` adds intervals, floors and notes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..core import ShapeError
from ..data import ImageSet, from_arrays, load_images
from .features.extract import Extractor, inception
from .features.feature_store import extract
from .features.lpips import LPIPS, diversity, load_lpips
from .frechet import FEW, frechet_distance, frechet_from_features
from .kernels import CMMD, KID, mmd
from .moments import statistics

__all__ = ["ImagesOrFeatures", "cmmd", "fid", "kid", "lpips_diversity"]

Array: TypeAlias = npt.NDArray[Any]
ImagesOrFeatures: TypeAlias = str | Path | ImageSet | Array
"""A folder of images, a set of `pixprompt.data`, canvases (N, H, W, 3) uint8, or features (N, D)."""


def fid(a: ImagesOrFeatures, b: ImagesOrFeatures, *, extractor: Extractor | None = None) -> float:
    """Returns the Frechet distance of two sets in Inception features, lower is nearer.

    Args:
        a: The data.
        b: The reference.
        extractor: Makes features of images; by default Inception-2015 with its published weights.

    Raises:
        DataError: A set has fewer than 2 images.
        ModelError: The weights of the default extractor cannot be had.
        ShapeError: An array is neither images nor features, or the features differ in length.

    Reference: arXiv 1706.08500.
    """
    data, reference = _pair(a, b, extractor)
    if min(len(data), len(reference)) < FEW:
        return frechet_from_features(data, reference)
    return frechet_distance(statistics(data), statistics(reference))


def kid(a: ImagesOrFeatures, b: ImagesOrFeatures, *, extractor: Extractor | None = None) -> float:
    """Returns the unbiased squared kernel distance of all images in Inception features; see `fid` for the rest.

    Reference: arXiv 1801.01401.
    """
    return mmd(*_pair(a, b, extractor), KID)


def cmmd(
    a: ImagesOrFeatures, b: ImagesOrFeatures, *, extractor: Extractor | None = None, biased: bool = False
) -> float:
    """Returns the squared kernel distance in CLIP embeddings, in the published units (times 1000); see `fid`.

    Args:
        a: The data.
        b: The reference.
        extractor: `features.open_clip(name)`; needed for images.
        biased: Keeps the diagonal, as the published code does.

    Reference: arXiv 2401.09603.
    """
    for images in (a, b):
        if extractor is None and not (isinstance(images, np.ndarray) and images.ndim == 2):
            raise ShapeError("cmmd takes features (N, D), or images and an extractor: features.open_clip(name).")
    return mmd(*_pair(a, b, extractor), CMMD, biased=biased)


def lpips_diversity(
    images: str | Path | ImageSet | Array,
    *,
    net: LPIPS | None = None,
    pairs: int = 10_000,
    size: int = 64,
    seed: int = 0,
) -> float:
    """Returns the mean LPIPS of random pairs of one set, higher is more diverse.

    Args:
        images: A folder, a set, or canvases (N, H, W, 3) uint8.
        net: The distance; by default with its published weights.
        pairs: How many are drawn; all, if there are fewer.
        size: Side of the square canvas in pixels, 64 to 256.
        seed: Of the pairs.

    Raises:
        DataError: The pairs have fewer than four readable images.
        ModelError: The weights cannot be had.
        ShapeError: An array holds no canvases.

    Reference: arXiv 1801.03924.
    """
    generator = np.random.default_rng(seed)
    measured = diversity(_images(images), net or load_lpips(), generator=generator, pairs=pairs, size=size, bootstrap=1)
    return float(measured["mean"])


def _pair(a: ImagesOrFeatures, b: ImagesOrFeatures, extractor: Extractor | None) -> tuple[Array, Array]:
    if extractor is None and not all(isinstance(each, np.ndarray) and each.ndim == 2 for each in (a, b)):
        extractor = inception()
    return _features(a, extractor), _features(b, extractor)


def _features(images: ImagesOrFeatures, extractor: Extractor | None) -> Array:
    if isinstance(images, np.ndarray) and images.ndim == 2:
        return images
    if extractor is None:  # features on both sides need none
        raise ShapeError("images need an extractor.")
    return extract(_images(images), extractor).rows


def _images(images: ImagesOrFeatures) -> ImageSet:
    if isinstance(images, ImageSet):
        return images
    if isinstance(images, np.ndarray):
        if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
            raise ShapeError(
                f"expected canvases (N, H, W, 3) uint8 or features (N, D), got {images.dtype} {images.shape}."
            )
        return from_arrays(images, [0] * len(images), prefix="array")
    return load_images(f"folder:{images}")
