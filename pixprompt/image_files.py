"""Finding image files in folders. No torch import."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["IMAGE_SUFFIXES", "is_image_name", "walk"]

IMAGE_SUFFIXES = frozenset({
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg",
    ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
})  # fmt: skip
"""What counts as an image inside a folder; a file that is named itself may have any suffix."""


def is_image_name(name: str) -> bool:
    """Whether a file of this name, found in a folder, is taken for an image; hidden files are not."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def walk(folder: Path, *, on_error: Callable[[OSError], None], skip: Path | None = None) -> Iterator[Path]:
    """Yields the images below a folder in alphabetical order; hidden folders are left out.

    Args:
        folder: Where to begin; links to folders are followed, each folder is visited once.
        on_error: Called with the error of every folder that cannot be listed.
        skip: A folder to leave out.
    """
    visited = {os.path.realpath(folder)} | ({os.path.realpath(skip)} if skip else set())
    for here, folders, files in os.walk(folder, onerror=on_error, followlinks=True):
        folders[:] = [name for name in sorted(folders) if not name.startswith(".") and name != "__MACOSX"]
        real = {name: os.path.realpath(os.path.join(here, name)) for name in folders}
        folders[:] = [name for name in folders if real[name] not in visited]
        visited.update(real.values())
        yield from (Path(here, name) for name in sorted(files) if is_image_name(name))
