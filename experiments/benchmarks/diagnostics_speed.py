"""Time and peak memory of the diagnostics' large parts, each in a process of its own.

    python experiments/benchmarks/diagnostics_speed.py features FOLDER [--count 10000] [--inception FILE] [--device cpu]
    python experiments/benchmarks/diagnostics_speed.py statistics [--count 100000]
    python experiments/benchmarks/diagnostics_speed.py frechet [--dim 2048] [--without-sqrtm]
    python experiments/benchmarks/diagnostics_speed.py numbers [--count 5000]

`features` decodes and embeds images of a folder (again and again if it has fewer), keeps the features in a temporary
cache and takes their statistics; the rate is told, and what 100,000 images would take at it. `statistics` streams
random features of that many images from disk. `frechet` times the distance by singular values, by symmetric
eigenvalues, by the eigenvalues of the product and by `scipy.linalg.sqrtm`. `numbers` times everything of a diagnosis
that comes after the features. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pixprompt.data import ImageSet, load_images
from pixprompt.diagnostics import (
    FEW,
    KID,
    Statistics,
    coverage,
    extract,
    frechet_distance,
    frechet_from_features,
    frechet_interval,
    inception,
    mmd,
    mmd_interval,
    statistics,
    subsets_mmd,
)

LARGE = 100_000
DIM = 2048


def peak_mb() -> float:
    """Peak memory of this process so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """The result of a call and its seconds."""
    began = time.perf_counter()
    result = call()
    return result, time.perf_counter() - began


def spectral(num: int, dim: int, seed: int) -> np.ndarray:
    """Features with the power-law spectrum that those of Inception have, (num, dim) float32."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((num, dim), dtype=np.float32) * np.arange(1, dim + 1, dtype=np.float32) ** -0.5) + 0.4


def repeated(images: ImageSet, count: int) -> ImageSet:
    """`count` images; each round has keys of its own, so that nothing is taken from a cache."""
    chosen = images.subset(np.arange(count) % len(images))
    keys = tuple(f"{key} round {number // len(images)}" for number, key in enumerate(chosen.keys))
    return ImageSet(chosen.names, chosen.labels, keys, chosen.open)


def measure_features(options: argparse.Namespace) -> dict[str, Any]:
    """Images to statistics."""
    images = repeated(load_images(f"folder:{options.folder}"), options.count)
    extractor, loading = timed(lambda: inception(options.inception, device=options.device))
    before = peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        features, seconds = timed(lambda: extract(images, extractor, cache=Path(folder), workers=options.workers))
        _, statistics_seconds = timed(lambda: statistics(features.rows))
        _, again = timed(lambda: extract(images, extractor, cache=Path(folder)))
    rate = len(images) / seconds
    return {
        "images": len(images), "loading_seconds": loading, "feature_seconds": seconds, "images_per_second": rate,
        "statistics_seconds": statistics_seconds, "kept_features_seconds": again, "loaded_mb": before,
        "peak_mb": peak_mb(), "hours_for_100000": LARGE / rate / 3600, "workers": options.workers,
    }  # fmt: skip


def measure_statistics(options: argparse.Namespace) -> dict[str, Any]:
    """Rows on disk to mean and covariance."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows")
        with path.open("wb") as file:
            for start in range(0, options.count, 1000):
                file.write(spectral(min(1000, options.count - start), DIM, start).tobytes())
        before = peak_mb()
        rows = np.memmap(path, np.float32, "r", shape=(options.count, DIM))
        _, seconds = timed(lambda: statistics(rows))
    return {"images": options.count, "seconds": seconds, "before_mb": before, "peak_mb": peak_mb(),
            "rows_mb": round(options.count * DIM * 4 / 2**20)}  # fmt: skip


def measure_frechet(options: argparse.Namespace) -> dict[str, Any]:
    """The ways to the same distance."""
    results: dict[str, Any] = {"dim": options.dim}
    for num in (200, 1000, FEW - 1):
        rows = spectral(num, options.dim, 1), spectral(num, options.dim, 2)
        value, seconds = timed(lambda rows=rows: frechet_from_features(*rows))  # type: ignore[misc]
        results[f"singular_values_{num}"] = {"seconds": seconds, "value": value}
    first, second = (statistics(spectral(2 * options.dim, options.dim, seed)) for seed in (1, 2))
    for name, way in (("symmetric_eigenvalues", frechet_distance), ("product_eigenvalues", by_product)):
        value, seconds = timed(lambda way=way: way(first, second))  # type: ignore[misc]
        results[name] = {"seconds": seconds, "value": value}
    if not options.without_sqrtm:
        value, seconds = timed(lambda: by_sqrtm(first, second))
        results["scipy_sqrtm"] = {"seconds": seconds, "value": value}
    return results


def by_product(first: Statistics, second: Statistics) -> float:
    """As torch-fidelity does."""
    values = np.linalg.eigvals(first.covariance @ second.covariance)
    return apart(first, second) - 2 * float(np.sqrt(values.astype(complex)).real.sum())


def by_sqrtm(first: Statistics, second: Statistics) -> float:
    """As pytorch-fid does."""
    from scipy.linalg import sqrtm

    return apart(first, second) - 2 * float(np.trace(sqrtm(first.covariance @ second.covariance)).real)


def apart(first: Statistics, second: Statistics) -> float:
    """The distance without its overlap."""
    shift = first.mean - second.mean
    return float(shift @ shift + np.trace(first.covariance) + np.trace(second.covariance))


def measure_numbers(options: argparse.Namespace) -> dict[str, Any]:
    """What comes after the features: of `count` images against 1000."""
    data, reference = spectral(options.count, DIM, 1), spectral(1000, DIM, 2)
    generator = np.random.default_rng(0)
    calls: dict[str, Callable[[], Any]] = {
        "fid": lambda: frechet_from_features(data, reference),
        "fid_interval": lambda: frechet_interval(
            data, reference, 0.0, moments=None, repeats=1000, generator=generator
        ),
        "kid": lambda: mmd(data, reference, KID),
        "kid_interval": lambda: mmd_interval(data, reference, KID, repeats=1000, generator=generator),
        "kid_subsets": lambda: subsets_mmd(data, reference, KID, generator=generator),
        "coverage": lambda: coverage(data, reference, None),
    }  # fmt: skip
    return {"images": options.count, **{name: timed(call)[1] for name, call in calls.items()}, "peak_mb": peak_mb()}


PARTS = {
    "features": measure_features,
    "statistics": measure_statistics,
    "frechet": measure_frechet,
    "numbers": measure_numbers,
}


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--count", type=int)
    parser.add_argument("--inception", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--dim", type=int, default=DIM)
    parser.add_argument("--without-sqrtm", action="store_true")
    options = parser.parse_args()
    if options.part == "features" and options.folder is None:
        parser.error("features needs a FOLDER of images")
    options.count = options.count or {"features": 10_000, "statistics": LARGE, "numbers": 5000}.get(options.part, 0)
    return options


def rounded(value: Any) -> Any:
    """Four digits of every number."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    chosen = parse()
    facts = {"part": chosen.part, "threads": torch.get_num_threads(), "load_before": round(os.getloadavg()[0], 1)}
    print(json.dumps({**facts, **rounded(PARTS[chosen.part](chosen))}))
