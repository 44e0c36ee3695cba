"""Layouts that torchvision reads, and downloads where its link works.

torchvision is imported when a set is read, not before. CIFAR is read by `cifar`, since torchvision's reader unpickles.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ....core import DataError
from ...image_set import Collection, ImageSet, from_arrays, from_files
from .cifar import cifar_reader
from .layout import words

__all__ = ["Torchvision", "attributes", "counts", "in_memory", "pairs"]

_FAILURES = (RuntimeError, OSError, ValueError, KeyError, EOFError, HTTPException, tarfile.TarError, zipfile.BadZipFile)

Reader: TypeAlias = Callable[[Any, str], ImageSet]
"""(torchvision's object, prefix of names) -> images."""


@dataclass(frozen=True)
class Torchvision:
    """One of torchvision's data sets.

    Attributes:
        kind: Its class in torchvision.datasets.
        needs: What lies below the root once the set is there.
        parts: Our split -> arguments of the class.
        images: How its images are taken out of torchvision's object.
        prefix: First part of the names of images that lie in memory.
        classes: Class names where torchvision has none that suit a text prompt.
        modules: What torchvision imports to read it.
    """

    kind: str
    needs: tuple[str, ...]
    parts: Mapping[str, Mapping[str, Any]]
    images: Reader
    prefix: str = ""
    classes: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()

    def read(self, root: Path) -> Collection:
        """See `Layout`."""
        datasets = {part: self._open(root, arguments) for part, arguments in self.parts.items()}
        parts = {part: self.images(dataset, f"{self.prefix}/{part}") for part, dataset in datasets.items()}
        return Collection(self.classes or self._classes_of(datasets["train"]), parts)

    def download(self, root: Path) -> None:
        """Downloads into the root, with a progress bar on stderr; torchvision checks the digests that it knows.

        Raises:
            DataError: The link is dead, or what came is damaged.
        """
        for arguments in self.parts.values():
            try:
                self._build(root, {**arguments, "download": True})
            except _FAILURES as error:
                raise DataError(f"torchvision cannot download it ({error}).") from error

    def _open(self, root: Path, arguments: Mapping[str, Any]) -> Any:
        try:
            return self._build(root, arguments)
        except _FAILURES as error:
            raise DataError(f"{root}: {' and '.join(self.needs)} cannot be used ({error}).") from error

    def _build(self, root: Path, arguments: Mapping[str, Any]) -> Any:
        from torchvision import datasets

        build = cifar_reader(self.kind) if self.kind.startswith("CIFAR") else getattr(datasets, self.kind)
        return build(str(root), **arguments)

    def _classes_of(self, dataset: Any) -> tuple[str, ...]:
        try:
            names: Sequence[str] = dataset.classes
        except AttributeError as error:
            raise DataError("this torchvision gives no class names for it; update torchvision.") from error
        return tuple(words(name) for name in names)


def attributes(paths: str, labels: str) -> Reader:
    """Reads two lists of equal length."""
    return lambda dataset, prefix: _sorted_files(zip(getattr(dataset, paths), getattr(dataset, labels), strict=True))


def pairs(name: str) -> Reader:
    """Reads a list of (path, label)."""
    return lambda dataset, prefix: _sorted_files(getattr(dataset, name))


def in_memory(labels: str, *, channels_first: bool = False) -> Reader:
    """Reads an array of all pixels and a list of labels."""

    def read(dataset: Any, prefix: str) -> ImageSet:
        pixels = np.asarray(dataset.data)
        pixels = pixels.transpose(0, 2, 3, 1) if channels_first else pixels
        return from_arrays(pixels, np.asarray(getattr(dataset, labels)), prefix=prefix)

    return read


def counts(dataset: Any, prefix: str) -> ImageSet:
    """Reads CLEVR, whose labels are the numbers of objects, 3 to 10."""
    return _sorted_files((path, count - 3) for path, count in zip(dataset._image_files, dataset._labels, strict=True))


def _sorted_files(rows: Any) -> ImageSet:
    # Some of torchvision's sets list files in the order of the file system.
    pairs = sorted((str(path), int(label)) for path, label in rows)
    return from_files([path for path, _ in pairs], [label for _, label in pairs])
