"""Decoding into canvases, once: the canvases of a set are kept in a file and mapped from it the next time."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL

from ..canvas import Canvas
from ..core import ConfigError, DataError, ImageError
from .canvas_file import CanvasWriter, read_canvases
from .image_set import CanvasSet, ImageSet
from .splits import listed

__all__ = ["cache_folder", "make_canvases"]

logger = logging.getLogger(__name__)

Pixels = npt.NDArray[np.uint8]
_FORMAT = 1
"""To be raised when the same image and canvas give other pixels than before."""
_BLOCK = 64


def make_canvases(
    images: ImageSet,
    canvas: Canvas,
    *,
    workers: int = 0,
    cache: Path | None = None,
    on_image: Callable[[], None] | None = None,
) -> CanvasSet:
    """Decodes images into canvases, or maps those that an earlier call made of the same images.

    An unreadable image is left out and reported; so is a cache that cannot be written, and memory is used instead.

    Args:
        images: N images.
        canvas: How an image becomes a canvas.
        workers: Threads that decode; 0 decodes in the caller's. The result does not depend on it.
        cache: Folder of the canvas files; None means `cache_folder()`.
        on_image: Called after each image that is decoded or skipped; not called when the canvases were kept.

    Raises:
        ConfigError: `workers` is negative.
        DataError: There is no image, or none can be read.
    """
    if workers < 0:
        raise ConfigError(f"workers must be at least 0, got {workers}.")
    if not len(images):
        raise DataError("there are no images to make canvases of.")
    path = (cache or cache_folder()) / f"{_digest(images, canvas)}.npy"
    kept = read_canvases(path, len(images), canvas.size)
    pixels, reasons = kept if kept else _decode_all(images, canvas, path, workers, on_image)
    skipped = tuple((images.names[index], reason) for index, reason in sorted(reasons.items()))
    if skipped:
        logger.warning("%d of %d images cannot be read and are left out: %s.", len(skipped), len(images),
                       listed(f"{name}: {reason}" for name, reason in skipped))  # fmt: skip
    readable = [index for index in range(len(images)) if index not in reasons]
    return CanvasSet(pixels, images.labels[readable], tuple(images.names[index] for index in readable), skipped)


def cache_folder() -> Path:
    """Returns the folder of the canvas files: $PIXPROMPT_CACHE, or ~/.cache/pixprompt/canvases."""
    chosen = os.environ.get("PIXPROMPT_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "pixprompt" / "canvases"


def _digest(images: ImageSet, canvas: Canvas) -> str:
    # Pillow's version: its decoders and filters may change a pixel between releases.
    identity = [_FORMAT, PIL.__version__, canvas.to_json(), images.keys]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _decode_all(
    images: ImageSet, canvas: Canvas, path: Path, workers: int, on_image: Callable[[], None] | None
) -> tuple[Pixels, dict[int, str]]:
    reasons: dict[int, str] = {}
    with CanvasWriter(path, len(images), canvas.size) as writer:
        for index, result in enumerate(_decoded(images, canvas, workers)):
            if isinstance(result, str):
                reasons[index] = result
            else:
                writer.add(result)
            if on_image:
                on_image()
        if len(reasons) == len(images):
            raise DataError(
                f"none of the {len(images)} images can be read; the first: {images.names[0]}: {reasons[0]}."
            )
        return writer.finish(reasons), reasons


def _decoded(images: ImageSet, canvas: Canvas, workers: int) -> Iterator[Pixels | str]:
    """Yields the canvas of each image in order, or the reason why there is none."""

    def one(index: int) -> Pixels | str:
        try:
            return canvas.make(images.open(index))
        except ImageError as error:
            return str(error).removeprefix(f"{images.names[index]}: ").rstrip(".")

    if workers == 0:
        yield from map(one, range(len(images)))
        return
    with ThreadPoolExecutor(workers) as pool:
        # By blocks: one slow image must not let the canvases of all later ones pile up in memory.
        step = _BLOCK * workers
        for start in range(0, len(images), step):
            yield from pool.map(one, range(start, min(start + step, len(images))))
