"""The digests of the contents of all images, remembered as they are made, so that an interrupted call goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ...core import DataError
from ..image_set import ImageSet

__all__ = ["content_digests", "duplicates"]

_BLOCK = 256


def content_digests(
    images: ImageSet, names: Sequence[str], progress: Path, *, workers: int, on_image: Callable[[], None]
) -> list[str]:
    """Returns the SHA-256 of each image's file, or of its pixels where it has none.

    Args:
        images: N images.
        names: Of the images, as the progress file knows them.
        progress: Text file that holds digests already made, a line per image; added to.
        workers: Threads that read.

    Raises:
        DataError: An image cannot be read.
    """
    known = _read(progress)
    keys = [f"{name}|{key}" for name, key in zip(names, images.keys, strict=True)]
    missing = [index for index, key in enumerate(keys) if key not in known]
    for _ in range(len(keys) - len(missing)):
        on_image()
    with progress.open("a", encoding="utf-8") as file, ThreadPoolExecutor(max(1, workers)) as pool:
        for start in range(0, len(missing), _BLOCK):
            block = missing[start : start + _BLOCK]
            for index, digest in zip(block, pool.map(lambda index: _digest(images, index), block), strict=True):
                known[keys[index]] = digest
                file.write(f"{digest}\t{keys[index]}\n")
                on_image()
            file.flush()
    return [known[key] for key in keys]


def duplicates(parts: Mapping[str, Sequence[tuple[str, str]]]) -> list[tuple[str, str]]:
    """Returns pairs of images of different splits with the same content, named "split/name".

    Args:
        parts: Split -> (name, digest) of its images.
    """
    first: dict[str, tuple[str, str]] = {}
    pairs = []
    for part, rows in parts.items():
        for name, digest in rows:
            where = first.setdefault(digest, (part, name))
            if where[0] != part:
                pairs.append((f"{where[0]}/{where[1]}", f"{part}/{name}"))
    return pairs


def _digest(images: ImageSet, index: int) -> str:
    try:
        content = images.content(index) if images.content is not None else images.open(index).tobytes()
    except OSError as error:
        raise DataError(f"{images.names[index]}: cannot be read ({error.strerror}).") from error
    if not content:
        raise DataError(f"{images.names[index]}: the file is empty; is the archive unpacked completely?")
    return hashlib.sha256(content).hexdigest()


def _read(progress: Path) -> dict[str, str]:
    try:
        lines = progress.read_text(encoding="utf-8").split("\n")[:-1]  # the last line may be half written
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        progress.unlink()
        return {}
    pairs = (line.partition("\t") for line in lines)
    return {key: digest for digest, _, key in pairs if len(digest) == 64 and key}
