"""Mean and covariance of features: one pass in float64 with bounded memory, saved and reused."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..core import DataError, ShapeError
from ..files import make_folder, write_bytes
from .features.extract import Extractor
from .features.feature_store import FeatureSet, diagnostics_folder

__all__ = [
    "Moments",
    "Statistics",
    "as_finite",
    "cached_statistics",
    "load_statistics",
    "save_statistics",
    "statistics",
]

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
_BLOCK = 1024
_SCHEMA = "1"


@dataclass(frozen=True, eq=False)
class Statistics:
    """What the Frechet distance knows of a set.

    Attributes:
        num: n, the number of images.
        mean: (D,) float64.
        covariance: (D, D) float64, with the divisor n - 1.
    """

    num: int
    mean: Floats
    covariance: Floats


class Moments:
    """Mean and scatter of rows that come in blocks.

    Blocks are merged by the update of Chan, Golub and LeVeque (1979): each block is centred on its own mean, so that
    nothing is lost where means are large against deviations.
    """

    def __init__(self, dim: int) -> None:
        self.num = 0
        self.mean: Floats = np.zeros(dim)
        self._scatter: Floats = np.zeros((dim, dim))

    def add(self, rows: npt.NDArray[Any]) -> None:
        """Takes note of rows (n, D).

        Raises:
            DataError: Some are not finite.
            ShapeError: They are of another shape.
        """
        if rows.ndim != 2 or rows.shape[1] != len(self.mean):
            raise ShapeError(f"expected features (N, {len(self.mean)}), got {rows.shape}.")
        if not len(rows):
            return
        block = as_finite(rows)
        mean = block.mean(0)
        block -= mean
        total = self.num + len(block)
        shift = mean - self.mean
        self._scatter += block.T @ block + np.outer(shift, shift) * (self.num * len(block) / total)
        self.mean = self.mean + shift * (len(block) / total)
        self.num = total

    def statistics(self) -> Statistics:
        """Returns what the rows so far amount to.

        Raises:
            DataError: There are fewer than two.
        """
        if self.num < 2:
            raise DataError(f"a covariance needs at least 2 images, got {self.num}.")
        return Statistics(self.num, self.mean.copy(), self._scatter / (self.num - 1))


def as_finite(features: npt.NDArray[Any]) -> Floats:
    """Returns features as new float64.

    Raises:
        DataError: Some are not finite.
    """
    values = features.astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError("some features are NaN or infinite; check the weights of the extractor.")
    return values


def statistics(features: npt.NDArray[Any]) -> Statistics:
    """Returns mean and covariance of features (n, D), a block at a time: they may be mapped from disk."""
    moments = Moments(features.shape[1])
    for block in _blocks(features):
        moments.add(block)
    return moments.statistics()


def _blocks(features: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    for start in range(0, len(features), _BLOCK):
        yield features[start : start + _BLOCK]


def cached_statistics(
    features: FeatureSet, extractor: Extractor, *, name: str, cache: Path | None = None
) -> Statistics:
    """Returns the statistics of a set, those of an earlier call where the digest is the same.

    Args:
        features: Of the set.
        extractor: That they come from.
        name: Of the set; with the digest it names the file.
        cache: The cache; None means the user's.
    """
    safe_name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)[-80:]
    path = diagnostics_folder(cache) / "statistics" / f"{safe_name}-{features.digest}.safetensors"
    if path.is_file():
        try:
            cached, about = load_statistics(path)
        except DataError as error:
            logger.warning("the cached statistics are damaged and are computed again: %s", error)
        else:
            if about.get("digest") == features.digest and cached.num == len(features):
                return cached
    computed = statistics(features.rows)
    make_folder(path.parent)
    save_statistics(path, computed, {"name": name, "digest": features.digest, **extractor.to_json()})
    return computed


def save_statistics(path: Path, values: Statistics, about: dict[str, str]) -> None:
    """Writes statistics as safetensors.

    Args:
        path: The file; its folder exists.
        about: What they are of: name, digest, extractor, resize, dtype.
    """
    header = {"schema": _SCHEMA, "num": str(values.num), "about": json.dumps(about)}
    write_bytes(path, save({"mean": values.mean, "covariance": values.covariance}, header))


def load_statistics(path: Path) -> tuple[Statistics, dict[str, str]]:
    """Reads what `save_statistics` wrote: the statistics, and what they are of.

    Raises:
        DataError: It is another kind of file, or a damaged one.
    """
    try:
        with safe_open(path, "numpy") as file:
            header = file.metadata() or {}
            if header.get("schema") != _SCHEMA:
                raise DataError(f"{path} holds no statistics of schema {_SCHEMA}; compute them again.")
            values = Statistics(int(header["num"]), file.get_tensor("mean"), file.get_tensor("covariance"))
            about: dict[str, str] = json.loads(header["about"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DataError(
            f"cannot read the statistics {path} ({error}); delete the file to compute them again."
        ) from error
    dim = len(values.mean)
    if values.mean.shape != (dim,) or values.covariance.shape != (dim, dim):
        raise DataError(f"{path} holds a mean {values.mean.shape} and a covariance {values.covariance.shape}.")
    return values, about
