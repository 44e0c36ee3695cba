"""Finding image files in folders. No torch import."""

from __future__ import annotations

import heapq
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


def walk(
    folder: Path, *, on_error: Callable[[OSError], None], skip: Path | None = None, block: int = 20_000
) -> Iterator[Path]:
    """Yields the images below a folder in alphabetical order, those of a folder before those of its folders.

    Hidden folders are left out.

    Args:
        folder: Where to begin; links to folders are followed, each folder is visited once.
        on_error: Called with the error of every folder that cannot be listed.
        skip: A folder to leave out.
        block: Names of a folder that are in memory at a time.
    """
    visited = {os.path.realpath(folder)} | ({os.path.realpath(skip)} if skip else set())
    waiting = [os.fspath(folder)]
    while waiting:
        here = waiting.pop()
        try:
            yield from (Path(here, name) for name in _sorted_names(here, _is_image, block))
            folders = list(_sorted_names(here, _is_folder, block))
        except OSError as error:
            on_error(error)
            continue
        inside = []
        for path in (os.path.join(here, name) for name in folders):
            real = os.path.realpath(path)
            if real not in visited:
                visited.add(real)
                inside.append(path)
        waiting += reversed(inside)


def _is_image(entry: os.DirEntry[str]) -> bool:
    return is_image_name(entry.name) and not _leads_to_folder(entry)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".") and entry.name != "__MACOSX" and _leads_to_folder(entry)


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _sorted_names(folder: str, wanted: Callable[[os.DirEntry[str]], bool], block: int) -> Iterator[str]:
    """Yields names of a folder in order; a large one is read again for each block of them, which bounds the memory."""
    last = ""
    while True:
        with os.scandir(folder) as entries:
            names = heapq.nsmallest(block, (each.name for each in entries if each.name > last and wanted(each)))
        yield from names
        if len(names) < block:
            return
        last = names[-1]
