"""The numbers of a diagnosis: how far a data set is from a reference, and how diverse it is."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core import DataError
from ..data import ImageSet
from .bootstrap import frechet_floor, frechet_interval, mmd_floor, mmd_interval
from .features.extract import Extractor
from .features.feature_store import FeatureSet, extract
from .features.lpips import LPIPS, diversity
from .frechet import FEW, frechet_distance, frechet_from_features
from .kernels import CMMD, KID, Kernel, mmd, subsets_mmd
from .moments import Statistics, cached_statistics
from .neighbors import coverage

__all__ = ["BIASED_BELOW", "MeasureSettings", "measure"]

logger = logging.getLogger(__name__)

BIASED_BELOW = 2048
"""With fewer images the covariance of 2048 features has no full rank, and FID is mostly a matter of n."""
_MAX_IMAGES = 10_000
"""Images of a set whose whole kernel matrix, or whose distances to all others, are taken."""
_MAX_PAIRS = 10_000_000
"""Pairs of images beyond which the statistics are faster than the singular values."""
_BIAS_NOTE = (
    f"fewer than {BIASED_BELOW} images: the distance is biased upwards, by about what the floor shows; "
    "compare it with the floor and read KID instead"
)


@dataclass(frozen=True)
class MeasureSettings:
    """How thorough a diagnosis is.

    Attributes:
        seed: Of every draw; each number has a stream of its own, so that asking for fewer changes none.
        pairs: Image pairs of the LPIPS diversity.
        lpips_size: Side of its square canvas in pixels.
        bootstrap: B, the resamples of an interval.
        halves: Repetitions of the floor.
        subsets: Subsets of the usual KID.
        subset_size: Images in each; the smaller set where it has fewer.
        neighbors: k of the coverage.
    """

    seed: int = 0
    pairs: int = 10_000
    lpips_size: int = 64
    bootstrap: int = 1000
    halves: int = 5
    subsets: int = 100
    subset_size: int = 1000
    neighbors: int = 5


@dataclass
class _Job:
    """One extractor's view of both sets."""

    extractor: Extractor
    data: FeatureSet
    reference: FeatureSet
    names: tuple[str, str]
    settings: MeasureSettings
    cache: Path | None

    def generator(self, number: str) -> np.random.Generator:
        """Returns the stream of a number."""
        return _generator(self.settings.seed, number)

    def statistics(self, side: int) -> Statistics:
        """Returns the statistics of the data (0) or the reference (1), those of an earlier run where there are some."""
        features = (self.data, self.reference)[side]
        return cached_statistics(features, self.extractor, name=self.names[side], cache=self.cache)

    def conditions(self) -> dict[str, Any]:
        """Returns what stands beside every number."""
        return {"n": len(self.data), "n_reference": len(self.reference), **self.extractor.to_json()}


def measure(
    data: ImageSet,
    reference: ImageSet,
    *,
    extractors: Sequence[Extractor],
    lpips: LPIPS | None = None,
    settings: MeasureSettings | None = None,
    names: tuple[str, str] = ("data", "reference"),
    missing: Mapping[str, str] | None = None,
    cache: Path | None = None,
    workers: int = 0,
    on_image: Callable[[], None] | None = None,
    ray: str | None = None,
) -> dict[str, Any]:
    """Measures a data set against a reference.

    Args:
        data: A.
        reference: B, labelled where class coverage is wanted.
        extractors: "inception" gives FID and KID, "clip" CMMD, and every family but inception a Frechet distance of
            its own name; the first one gives the coverage.
        lpips: The distance of the diversity, or None.
        settings: How thorough; None means the defaults.
        names: Of both sets, as users type them.
        missing: Number -> why it was not requested or cannot be had.
        cache: Folder of cached canvases, features and statistics; None means the user's.
        workers: Threads that decode.
        on_image: Called for each image that an extractor has seen, and for each that LPIPS decodes.
        ray: Address of a Ray cluster whose processes take the features; None for this one.

    Returns:
        The diagnosis object without the advice. A number that is null has its reason in "reasons".

    Raises:
        DataError: A set has no readable image.
    """
    settings = settings or MeasureSettings()
    result: dict[str, Any] = {
        "schema": 1,
        "data": {"name": names[0], "n": len(data)},
        "reference": {"name": names[1], "n": len(reference)},
        "extractor": None, "resize": None, "headline": None,
        "fid": None, "kid": None, "cmmd": None, "lpips": None, "coverage": None,
        "seed": settings.seed,
    }  # fmt: skip
    reasons = {
        "fid": "no Inception-2015 extractor was named",
        "kid": "no Inception-2015 extractor was named",
        "cmmd": "no CLIP extractor was named",
        "lpips": "no LPIPS weights were given",
        "coverage": "no extractor was named",
        **(missing or {}),
    }
    for number, extractor in enumerate(extractors):
        options: dict[str, Any] = {"cache": cache, "workers": workers, "on_image": on_image, "ray": ray}
        sets = [extract(images, extractor, **options) for images in (data, reference)]
        for side, features in zip(("data", "reference"), sets, strict=True):
            result[side] |= {"n": len(features), "skipped": len(features.skipped)}
        job = _Job(extractor, sets[0], sets[1], names, settings, cache)
        for name, make in _numbers(extractor, first=number == 0).items():
            result[name] = _measure_or_reason(name, lambda make=make, job=job: make(job), reasons)  # type: ignore[misc]
    if lpips is not None:
        result["lpips"] = _measure_or_reason("lpips", lambda: diversity(
            data, lpips, generator=_generator(settings.seed, "lpips"), pairs=settings.pairs, size=settings.lpips_size,
            bootstrap=settings.bootstrap, cache=cache, workers=workers, on_image=on_image), reasons)  # fmt: skip
    result["reasons"] = {name: reason for name, reason in reasons.items() if result.get(name) is None}
    return _with_headline(result)


def _numbers(extractor: Extractor, *, first: bool) -> dict[str, Callable[[_Job], dict[str, Any]]]:
    """Which numbers an extractor gives, by name; only Inception-2015 may be called FID and KID."""
    numbers: dict[str, Callable[[_Job], dict[str, Any]]] = {}
    if extractor.family == "inception":
        numbers |= {"fid": _frechet, "kid": lambda job: _mmd(job, KID, "kid")}
    else:
        numbers[f"frechet_{extractor.name}"] = _frechet
    if extractor.family == "clip":
        numbers["cmmd"] = lambda job: _mmd(job, CMMD, "cmmd")
    if first:
        numbers["coverage"] = _coverage
    return numbers


def _measure_or_reason(name: str, make: Callable[[], dict[str, Any]], reasons: dict[str, str]) -> dict[str, Any] | None:
    try:
        return make()
    except DataError as error:  # too few images for this number; the others stand
        reasons[name] = str(error)
        logger.warning("%s: %s", name, error)
        return None


def _frechet(job: _Job) -> dict[str, Any]:
    data, reference = job.data.rows, job.reference.rows
    few = min(len(data), len(reference)) < FEW and len(data) * len(reference) <= _MAX_PAIRS
    moments = None if few else (job.statistics(0), job.statistics(1))
    value = frechet_distance(*moments) if moments else frechet_from_features(data, reference)
    generator, repeats = job.generator(f"frechet {job.extractor.name}"), job.settings.bootstrap
    interval = frechet_interval(data, reference, value, moments=moments, repeats=repeats, generator=generator)
    floor = _floor(job, lambda rows: frechet_floor(rows, repeats=job.settings.halves, generator=generator))
    biased = min(len(data), len(reference)) < BIASED_BELOW
    return {
        "value": value, "ci95": interval, **floor,
        "interval": f"bootstrap of images to first order, B={repeats}; spread alone, without the bias of few images",
        "solver": "singular values" if few else "symmetric eigenvalues",
        "biased": biased, **({"note": _BIAS_NOTE} if biased else {}), **job.conditions(),
    }  # fmt: skip


def _mmd(job: _Job, kernel: Kernel, name: str) -> dict[str, Any]:
    generator = job.generator(name)
    data, reference = (_subsample(features.rows, generator) for features in (job.data, job.reference))
    value, interval = mmd_interval(data, reference, kernel, repeats=job.settings.bootstrap, generator=generator)
    floor = _floor(
        job,
        lambda rows: mmd_floor(_subsample(rows, generator), kernel, repeats=job.settings.halves, generator=generator),
    )
    measured = {
        "value": value, "ci95": interval, **floor,
        "interval": f"bootstrap of images, B={job.settings.bootstrap}", "kernel": kernel.name, "estimate": "unbiased",
        "n_used": [len(data), len(reference)], **job.conditions(),
    }  # fmt: skip
    if kernel is CMMD:
        return {**measured, "biased_value": mmd(data, reference, kernel, biased=True)}
    size = min(job.settings.subset_size, len(job.data), len(job.reference))
    draws = subsets_mmd(job.data.rows, job.reference.rows, kernel, generator=generator,
                        subsets=job.settings.subsets, size=size)  # fmt: skip
    statistics = {"mean": float(draws.mean()), "std": float(draws.std()), "subsets": len(draws), "size": size}
    whole = [side for side, rows in (("data", job.data), ("reference", job.reference)) if len(rows) == size]
    if whole:
        note = f"every subset holds all images of the {' and the '.join(whole)}, so that std is too small; read ci95"
        return {**measured, "subsets": {**statistics, "note": note}}
    return {**measured, "subsets": statistics}


def _coverage(job: _Job) -> dict[str, Any]:
    generator = job.generator("coverage")
    indices = _draw_indices(len(job.reference), generator)
    data = _subsample(job.data.rows, generator)
    measured = coverage(
        data, job.reference.rows[indices], job.reference.labels[indices], neighbors=job.settings.neighbors
    )
    return {**measured, "n_used": [len(data), len(indices)], **job.conditions()}


def _floor(job: _Job, half_distance: Callable[[Any], tuple[float, dict[str, Any]]]) -> dict[str, Any]:
    """The larger of both sets' floors, and both."""
    floors = {}
    for side, features in (("data", job.data), ("reference", job.reference)):
        if len(features) < 4:
            raise DataError(f"two halves need at least 4 images, the {side} has {len(features)}.")
        value, details = half_distance(features.rows)
        floors[side] = {"value": value, **details}
    return {"floor": max(one["value"] for one in floors.values()), "floors": floors}


def _draw_indices(num: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    if num <= _MAX_IMAGES:
        return np.arange(num)
    return np.sort(generator.choice(num, _MAX_IMAGES, replace=False))


def _subsample(rows: npt.NDArray[np.float32], generator: np.random.Generator) -> npt.NDArray[np.float32]:
    return rows if len(rows) <= _MAX_IMAGES else rows[_draw_indices(len(rows), generator)]


def _generator(seed: int, number: str) -> np.random.Generator:
    return np.random.default_rng([seed, int.from_bytes(hashlib.sha256(number.encode()).digest()[:4])])


def _with_headline(result: dict[str, Any]) -> dict[str, Any]:
    """Names the number to look at, and repeats what it was taken in."""
    frechet = next((name for name in result if name.startswith("frechet_")), None)
    fid_leads = result["fid"] is not None and not result["fid"]["biased"]
    order = ["fid", "kid"] if fid_leads else ["kid", "cmmd", "fid"]
    headline = next((name for name in [*order, frechet] if name and result[name] is not None), None)
    if headline:
        result |= {
            "headline": headline,
            "extractor": result[headline]["extractor"],
            "resize": result[headline]["resize"],
        }
    return result
