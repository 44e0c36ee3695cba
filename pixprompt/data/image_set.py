"""What every data source returns: images that are opened when they are needed, with labels and identities."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..canvas import decode, from_array
from ..files import open_regular
from ..stores import StoreFile, image_key, open_at

__all__ = ["UNLABELLED", "Collection", "Data", "ImageSet", "from_arrays", "from_files", "from_stores", "join"]

Labels = npt.NDArray[np.int64]
UNLABELLED = -1


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Lazily opened images; nothing is decoded or held until `open` is called.

    Attributes:
        names: What to call each image in messages: a path, or "digits/0007".
        labels: (N,) int64, UNLABELLED where unknown.
        keys: Identity of each image's content, wherever it appears; another content has another key.
        open: Index -> upright RGB image; raises ImageError.
        content: Index -> the bytes of the image's file; None for images without a file of their own.
    """

    names: tuple[str, ...]
    labels: Labels
    keys: tuple[str, ...]
    open: Callable[[int], Image.Image]
    content: Callable[[int], bytes] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, indices: Sequence[int] | npt.NDArray[np.integer[Any]]) -> ImageSet:
        """Returns the images at `indices`, in that order."""
        chosen, content = [int(index) for index in indices], self.content
        return ImageSet(
            names=tuple(self.names[index] for index in chosen),
            labels=self.labels[np.array(chosen, dtype=np.int64)],
            keys=tuple(self.keys[index] for index in chosen),
            open=lambda index: self.open(chosen[index]),
            content=None if content is None else lambda index: content(chosen[index]),
        )


@dataclass(frozen=True, eq=False)
class Collection:
    """A data set as it was read, with the splits that it has.

    Attributes:
        classes: K names; label k means classes[k].
        parts: Its own splits by name ("train", "val", "test", and others); only "train" where it has none.
        source: Where it was found, for the first lines of a run.
        official: Whether its makers decided who is in which split; a class may then lack training images.
    """

    classes: tuple[str, ...]
    parts: dict[str, ImageSet]
    source: str = ""
    official: bool = False


@dataclass(frozen=True, eq=False)
class Data:
    """A labelled data set with its three splits, which share no image.

    Attributes:
        seed: Seed of the splits; None where they were not drawn by `load_data`.
        notes: How the splits came about, a line each, where their makers did not say.
        source: Where the images were found.
    """

    name: str
    classes: tuple[str, ...]
    train: ImageSet
    val: ImageSet
    test: ImageSet
    seed: int | None = None
    notes: tuple[str, ...] = ()
    source: str = ""


def from_files(
    paths: Sequence[str | Path], labels: Sequence[int] | Labels, keys: Sequence[str] | None = None
) -> ImageSet:
    """Returns the set of image files at `paths`.

    Args:
        paths: N files.
        labels: (N,).
        keys: Identities of their contents where they are known; otherwise each file's size and times are looked up.
    """
    names = tuple(str(path) for path in paths)
    return ImageSet(
        names,
        np.array(labels, dtype=np.int64),
        tuple(map(_file_key, names)) if keys is None else tuple(keys),
        lambda index: decode(names[index]),
        lambda index: _content(names[index]),
    )


def from_stores(places: Sequence[StoreFile]) -> ImageSet:
    """Returns the set of image files in stores, unlabelled; each store is asked once for the version of each file."""
    return ImageSet(
        tuple(map(str, places)),
        np.full(len(places), UNLABELLED, dtype=np.int64),
        tuple(map(image_key, places)),
        lambda index: open_at(places[index]),
    )


def _content(path: str) -> bytes:
    with open_regular(path) as file:
        return file.read()


def from_arrays(pixels: npt.NDArray[np.uint8], labels: Sequence[int] | Labels, *, prefix: str) -> ImageSet:
    """Returns the set of images that lie in memory.

    Args:
        pixels: (N, H, W) or (N, H, W, 3) uint8.
        labels: (N,).
        prefix: First part of each image's name.
    """
    width = len(str(max(0, len(pixels) - 1)))
    content = hashlib.sha256(str(pixels.shape).encode())
    content.update(np.ascontiguousarray(pixels).data)
    digest = content.hexdigest()[:16]
    numbers = [f"{index:0{width}d}" for index in range(len(pixels))]
    return ImageSet(
        names=tuple(f"{prefix}/{number}" for number in numbers),
        labels=np.array(labels, dtype=np.int64),
        keys=tuple(f"{prefix}/{digest}/{number}" for number in numbers),
        open=lambda index: from_array(pixels[index]),
    )


def join(sets: Sequence[ImageSet]) -> ImageSet:
    """Returns all images of several sets as one, in order."""
    places = [(images, index) for images in sets for index in range(len(images))]

    def open_image(index: int) -> Image.Image:
        images, inner = places[index]
        return images.open(inner)

    def read_content(index: int) -> bytes:
        images, inner = places[index]
        return images.content(inner) if images.content is not None else b""

    return ImageSet(
        names=tuple(name for images in sets for name in images.names),
        labels=np.concatenate([np.zeros(0, dtype=np.int64), *(images.labels for images in sets)]),
        keys=tuple(key for images in sets for key in images.keys),
        open=open_image,
        content=read_content if all(images.content is not None for images in sets) else None,
    )


def _file_key(name: str) -> str:
    path = os.path.abspath(name)
    try:
        status = os.stat(path)
    except OSError:  # a broken link: opening it reports the reason
        return f"{path}|missing"
    # The change time too: it notices a file that became readable, or was replaced with its old date kept.
    return f"{path}|{status.st_size}|{status.st_mtime_ns}|{status.st_ctime_ns}"
