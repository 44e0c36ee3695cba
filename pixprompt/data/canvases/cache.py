"""Decoding into canvases, once: canvases are stored, and mapped the next time."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL

from ...canvas import Canvas
from ...core import ConfigError, DataError
from ..image_set import ImageSet
from ..splits import listed
from .blocks import canvas_maker, save_regularly
from .rows import CanvasSet
from .store import CanvasStore
from .streamed import StreamedRows

__all__ = ["AT_ONCE", "cache_folder", "make_canvases"]

logger = logging.getLogger(__name__)

Pixels = npt.NDArray[np.uint8]
_FORMAT = 2
"""To be raised when the same image and canvas give other pixels than before, or the files another layout."""
_BLOCK_BYTES = 2**25
_BLOCK = 1024
AT_ONCE = 20_000
"""Images that are decoded before a run begins, at most."""
_SECONDS = 1.0
"""At most a block of images, and about that much work, is lost when a run is killed."""


def make_canvases(
    images: ImageSet,
    canvas: Canvas,
    *,
    workers: int = 0,
    cache: Path | None = None,
    on_image: Callable[[], None] | None = None,
) -> CanvasSet:
    """Decodes the images that no earlier call has decoded for this canvas, in whichever set, and maps the others.

    An unreadable image is left out and reported; so is a cache that cannot be written, and memory is used instead.
    Where more than AT_ONCE images are to be decoded, or more than the cache holds, they are decoded as they are read
    (`StreamedRows`), and an unreadable one is found then.

    Args:
        images: N images.
        canvas: How an image becomes a canvas.
        workers: Threads that decode; 0 decodes in the caller's. The result does not depend on it.
        cache: Folder of the canvas files; None means `cache_folder()`.
        on_image: Called after each image that is decoded or skipped; not called for stored canvases.

    Raises:
        ConfigError: `workers` is negative.
        DataError: There is no image, or none can be read.
    """
    if workers < 0:
        raise ConfigError(f"workers must be at least 0, got {workers}.")
    if not len(images):
        raise DataError("there are no images to make canvases of.")
    digests = [hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=16).hexdigest() for key in images.keys]
    store = CanvasStore((cache or cache_folder()) / _folder_name(canvas), canvas.size, digests)
    missing = sum(digest not in store for digest in digests)
    if missing > AT_ONCE or len(digests) * 3 * canvas.size[0] * canvas.size[1] > store.limit // 2:
        rows = StreamedRows(images, digests, canvas, store, workers)
        return CanvasSet(rows, images.labels, images.names, ())
    _fill(store, images, digests, canvas, workers, on_image)
    readable = [index for index, digest in enumerate(digests) if digest not in store.reasons]
    skipped = tuple(
        (name, store.reasons[digest])
        for name, digest in zip(images.names, digests, strict=True)
        if digest in store.reasons
    )
    if not readable:
        name, reason = skipped[0]
        raise DataError(f"none of the {len(images)} images can be read; the first: {name}: {reason}.")
    if skipped:
        logger.warning("%d of %d images cannot be read and are left out: %s.", len(skipped), len(images),
                       listed(f"{name}: {reason}" for name, reason in skipped))  # fmt: skip
    pixels = store.canvases([digests[index] for index in readable])
    return CanvasSet(pixels, images.labels[readable], tuple(images.names[index] for index in readable), skipped)


def cache_folder() -> Path:
    """Returns the folder of the canvas files: $PIXPROMPT_CACHE, or ~/.cache/pixprompt/canvases."""
    chosen = os.environ.get("PIXPROMPT_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "pixprompt" / "canvases"


def _folder_name(canvas: Canvas) -> str:
    # Pillow's version: its decoders and filters may change a pixel between releases.
    identity = json.dumps([_FORMAT, PIL.__version__, canvas.to_json()], sort_keys=True)
    return f"{canvas.size[0]}x{canvas.size[1]}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def _fill(
    store: CanvasStore,
    images: ImageSet,
    digests: list[str],
    canvas: Canvas,
    workers: int,
    on_image: Callable[[], None] | None,
) -> None:
    missing = {digest: index for index, digest in enumerate(digests) if digest not in store}
    # By blocks: one slow image must not let the canvases of all later ones pile up in memory.
    size = max(workers, 1, min(_BLOCK, _BLOCK_BYTES // (3 * canvas.size[0] * canvas.size[1])))
    blocks = [list(missing)[start : start + size] for start in range(0, len(missing), size)]
    # Runs that fill the same store at the same time share the work when each goes its own way.
    random.SystemRandom().shuffle(blocks)

    def reported(results: Iterable[tuple[str, Pixels | str]]) -> Iterator[tuple[str, Pixels | str]]:
        for result in results:
            yield result
            if on_image:
                on_image()

    with canvas_maker(images, canvas, workers) as make:
        for block in blocks:
            store.refresh()
            remaining = [digest for digest in block if digest not in store]
            results = zip(remaining, make([missing[digest] for digest in remaining]), strict=True)
            save_regularly(reported(results), lambda done: store.add(dict(done)), seconds=_SECONDS)
