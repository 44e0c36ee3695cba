"""What long work on many images shares: threads that decode, and results that reach the disk while it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from ...canvas import Canvas
from ...core import ImageError
from ..image_set import ImageSet

__all__ = ["CanvasOrReason", "canvas_maker", "canvas_or_reason", "save_regularly"]

T = TypeVar("T")
CanvasOrReason: TypeAlias = npt.NDArray[np.uint8] | str


def canvas_or_reason(images: ImageSet, canvas: Canvas | None, index: int) -> CanvasOrReason:
    """Returns the canvas (H, W, 3) of an image, or the reason why it cannot be read; see `canvas_maker`."""
    try:
        image = images.open(index)
        return np.array(image) if canvas is None else canvas.make(image)
    except ImageError as error:
        return str(error).removeprefix(f"{images.names[index]}: ").rstrip(".") or "unreadable"


@contextmanager
def canvas_maker(
    images: ImageSet, canvas: Canvas | None, workers: int
) -> Iterator[Callable[[Sequence[int]], Iterable[CanvasOrReason]]]:
    """Within, a function from indices of images to canvases (H, W, 3) uint8, each as soon as it is wanted.

    Args:
        images: The images. In place of one that cannot be read stands the reason.
        canvas: How an image becomes a canvas; None leaves it at its own size.
        workers: Threads that decode; 0 decodes in the caller's.
    """
    pool, make = ThreadPoolExecutor(max(1, workers)), partial(canvas_or_reason, images, canvas)
    try:
        yield lambda indices: (pool.map if workers else map)(make, indices)
    finally:
        # On an interrupt: the images at work are finished, the others are not begun.
        pool.shutdown(cancel_futures=True)


def save_regularly(results: Iterable[T], save: Callable[[list[T]], object], *, seconds: float) -> None:
    """Saves results while they come, about every so many seconds, and the last ones also when an interrupt ends them.

    A result is handed over once, also to a `save` that fails.
    """
    unsaved: list[T] = []
    last = time.monotonic()
    try:
        for result in results:
            unsaved.append(result)
            if time.monotonic() - last > seconds:
                batch, unsaved = unsaved, []
                save(batch)
                last = time.monotonic()
    finally:
        if unsaved:
            save(unsaved)
