"""Features of whole data sets: computed once, in blocks, cached on disk and mapped, resumed after an interruption.

A set has a pair of files by the digest of its images and of the extractor: DIGEST.rows holds features (n, D) float32,
one after another; DIGEST.json says how many images are done and which could not be read. It is written when the rows
have reached the disk; rows beyond those do not count. Blocks begin at fixed places, so that an interrupted
run gives the bits of an uninterrupted one.
"""

from __future__ import annotations

import hashlib
import logging
import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL

from ...bulk.cluster import map_batches
from ...core import DataError, PixpromptError, ShapeError
from ...data import ImageSet
from ...data.canvases import cache_folder
from ...data.canvases.blocks import canvas_maker, save_regularly
from ...files import make_folder, read_json, write_json
from .extract import Extractor, Features

__all__ = ["FeatureSet", "diagnostics_folder", "extract"]

logger = logging.getLogger(__name__)

_BLOCK = 32
"""Images per forward pass; fixed, because a network's last bits depend on the batch."""
_SECONDS = 5.0
"""About that much work is lost when a run is killed."""


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """The features of a data set.

    Attributes:
        rows: (n, D) float32, mapped from disk.
        labels: (n,) int64, of the same images.
        digest: Identity of images and extractor.
        skipped: (name, reason) of each image that could not be read; not among the n.
    """

    rows: Features
    labels: npt.NDArray[np.int64]
    digest: str
    skipped: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.rows)


@dataclass
class _Progress:
    """The JSON file: images that are done, the number of their rows, and those that gave none, with the reason."""

    done: int
    rows: int
    skipped: list[tuple[int, str]]


@dataclass(frozen=True)
class _Block:
    """Features (n, D) of a block of images, and those that gave none, with the reason."""

    features: Features
    skipped: list[tuple[int, str]]
    num_images: int


def diagnostics_folder(cache: Path | None = None) -> Path:
    """Returns the folder of features and statistics, inside the cache."""
    return (cache or cache_folder()) / "diagnostics"


def extract(
    images: ImageSet,
    extractor: Extractor,
    *,
    cache: Path | None = None,
    workers: int = 0,
    on_image: Callable[[], None] | None = None,
    ray: str | None = None,
) -> FeatureSet:
    """Computes the features of a set, or maps those that are cached; memory does not grow with the set.

    Args:
        images: N images; what cannot be read is left out and reported.
        cache: The cache; None means the user's.
        workers: Threads that decode; 0 decodes in the caller's.
        on_image: Called for each image that is done, cached ones included.
        ray: Address of a Ray cluster whose processes take the features; None for this one.

    Raises:
        DataError: There is no image, or none can be read.
        PixpromptError: The cache cannot be written.
    """
    if not len(images):
        raise DataError("there are no images to take features of.")
    digest = _digest(images, extractor)
    folder = make_folder(diagnostics_folder(cache) / "features")
    rows_file, progress_file = folder / f"{digest}.rows", folder / f"{digest}.json"
    progress = _read(progress_file, rows_file, len(images), extractor)
    _report(on_image, progress.done)
    if progress.done < len(images):
        remaining = (images, extractor, progress.done)
        blocks = _blocks(*remaining, workers) if ray is None else _blocks_of_cluster(*remaining, ray)
        _fill(_reported(blocks, on_image), rows_file, progress_file, progress, extractor.dim)
    if not progress.rows:
        index, reason = progress.skipped[0]
        raise DataError(f"none of the {len(images)} images can be read; the first: {images.names[index]}: {reason}.")
    readable = np.setdiff1d(np.arange(len(images)), [index for index, _ in progress.skipped])
    skipped = tuple((images.names[index], reason) for index, reason in progress.skipped)
    if skipped:
        logger.warning("%d of %d images cannot be read and are left out; the first: %s: %s.", len(skipped), len(images),
                       *skipped[0])  # fmt: skip
    rows = np.memmap(rows_file, np.float32, "r", shape=(progress.rows, extractor.dim))
    return FeatureSet(rows, images.labels[readable], digest, skipped)


def _digest(images: ImageSet, extractor: Extractor) -> str:
    content = hashlib.sha256(f"{extractor.digest} {PIL.__version__} {_BLOCK}\n".encode())
    for key in images.keys:
        content.update(key.encode(errors="surrogatepass") + b"\n")
    return content.hexdigest()[:32]


def _read(progress_file: Path, rows_file: Path, total: int, extractor: Extractor) -> _Progress:
    """Finds out how far an earlier call came; a damaged pair of files counts as nothing."""
    try:
        values = read_json(progress_file)
        progress = _Progress(
            int(values["done"]), int(values["rows"]), [(int(i), str(why)) for i, why in values["skipped"]]
        )
        size = rows_file.stat().st_size
    except FileNotFoundError:
        return _Progress(0, 0, [])
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("the cached features %s are damaged (%s) and are computed again.", progress_file, error)
        return _Progress(0, 0, [])
    consistent = progress.rows + len(progress.skipped) == progress.done <= total
    if not consistent or size < progress.rows * extractor.dim * 4:
        logger.warning("the cached features %s do not fit their rows and are computed again.", progress_file)
        return _Progress(0, 0, [])
    return progress


def _fill(blocks: Iterator[_Block], rows_file: Path, progress_file: Path, progress: _Progress, dim: int) -> None:
    """Appends what is missing; the JSON file follows about every five seconds, and when an interrupt comes."""
    try:
        rows_file.touch()
        with rows_file.open("r+b") as file:
            # Never cut: another run may be at work on the same file, and writes the same bytes at the same places.
            file.seek(progress.rows * dim * 4)

            def save(blocks: list[_Block]) -> None:
                for block in blocks:
                    file.write(block.features.tobytes())
                    progress.done += block.num_images
                    progress.rows += len(block.features)
                    progress.skipped += block.skipped
                file.flush()
                os.fsync(file.fileno())
                write_json(progress_file, asdict(progress))

            save_regularly(blocks, save, seconds=_SECONDS)
    except OSError as error:
        raise PixpromptError(
            f"cannot keep features in {rows_file.parent} ({error.strerror or error}); "
            "free some space or set PIXPROMPT_CACHE."
        ) from error


def _blocks(images: ImageSet, extractor: Extractor, start: int, workers: int) -> Iterator[_Block]:
    with canvas_maker(images, extractor.canvas, workers) as make:
        for first in range(start, len(images), _BLOCK):
            indices = range(first, min(first + _BLOCK, len(images)))
            results = list(make(indices))
            skipped = [
                (index, canvas) for index, canvas in zip(indices, results, strict=True) if isinstance(canvas, str)
            ]
            canvases = [canvas for canvas in results if not isinstance(canvas, str)]
            features = extractor(canvases) if canvases else np.empty((0, extractor.dim), np.float32)
            if features.shape != (len(canvases), extractor.dim):
                raise ShapeError(f"{extractor.name} gave features {features.shape}, expected {extractor.dim} numbers.")
            yield _Block(features, skipped, len(indices))


def _blocks_of_cluster(images: ImageSet, extractor: Extractor, start: int, address: str) -> Iterator[_Block]:
    """Yields the same, each from some process of a Ray cluster."""

    def make() -> Callable[[int], tuple[str, list[tuple[int, str]], int]]:
        def work(first: int) -> tuple[str, list[tuple[int, str]], int]:
            block = next(_blocks(images, extractor, first, 0))
            return b64encode(block.features.tobytes()).decode(), block.skipped, block.num_images

        return work

    for content, skipped, num_images in map_batches(address, range(start, len(images), _BLOCK), make, gpu=True):
        features = np.frombuffer(b64decode(content), np.float32).reshape(-1, extractor.dim)
        yield _Block(features, [(index, reason) for index, reason in skipped], num_images)


def _reported(blocks: Iterator[_Block], on_image: Callable[[], None] | None) -> Iterator[_Block]:
    for block in blocks:
        yield block
        _report(on_image, block.num_images)


def _report(on_image: Callable[[], None] | None, count: int) -> None:
    for _ in range(count if on_image else 0):
        if on_image:
            on_image()
