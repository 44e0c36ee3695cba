"""Data sets whose images lie together in binary files: IDX of MNIST and its relatives, and CIFAR's binary version."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ....core import DataError
from ...image_set import Collection, from_arrays

__all__ = ["CifarBinary", "Idx"]

_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


@dataclass(frozen=True)
class Idx:
    """Four IDX files, packed with gzip or not.

    Attributes:
        prefix: First part of the images' names.
        classes: Names of the labels from 0.

    Reference: LeCun, Cortes and Burges, the MNIST database, file formats.
    """

    prefix: str
    classes: tuple[str, ...]
    modules: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """See `Layout`."""
        return tuple(name for pair in _FILES.values() for name in pair)

    def read(self, root: Path) -> Collection:
        """See `Layout`."""
        parts = {}
        for part, (images, labels) in _FILES.items():
            pixels, numbers = self._array(root, images), self._array(root, labels)
            if pixels.ndim != 3 or numbers.shape != (len(pixels),) or int(numbers.max(initial=0)) >= len(self.classes):
                raise DataError(
                    f"{root}: {images} has shape {pixels.shape}, {labels} {numbers.shape} with labels up to "
                    f"{int(numbers.max(initial=0))}; expected N grey images and N labels below {len(self.classes)}."
                )
            parts[part] = from_arrays(pixels, numbers.astype(np.int64), prefix=f"{self.prefix}/{part}")
        return Collection(self.classes, parts)

    def _array(self, root: Path, name: str) -> npt.NDArray[np.uint8]:
        path = next((root / file for file in (name, f"{name}.gz") if (root / file).is_file()), None)
        if path is None:
            raise DataError(f"{root}: expected {name} or {name}.gz, found neither; put it there.")
        try:
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            zero, kind, ndim = struct.unpack(">HBB", content[:4])
            shape = struct.unpack(f">{ndim}I", content[4 : 4 + 4 * ndim])
            if (zero, kind) != (0, 8):
                raise ValueError(f"it begins with {content[:4]!r}")
            return np.frombuffer(content, np.uint8, offset=4 + 4 * ndim).reshape(shape)
        except (OSError, EOFError, zlib.error, struct.error, ValueError) as error:
            raise DataError(f"{path}: a damaged or incomplete IDX file ({error}); get it again.") from error


@dataclass(frozen=True)
class CifarBinary:
    """The binary version of CIFAR: records of one or two label bytes and 3072 bytes, red, green, blue planes of 32x32.

    Attributes:
        prefix: First part of the images' names.
        files: Split -> files below the root, in order.
        classes: Names of the labels from 0.
        label_bytes: Label bytes of each record; the last one is the label (CIFAR-100's first is the coarse one).

    Reference: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """

    prefix: str
    files: Mapping[str, tuple[str, ...]]
    classes: tuple[str, ...]
    label_bytes: int = 1

    modules: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """See `Layout`."""
        return tuple(name for names in self.files.values() for name in names)

    def read(self, root: Path) -> Collection:
        """See `Layout`."""
        parts = {}
        for part, names in self.files.items():
            records = np.concatenate([self._records(root / name) for name in names])
            pixels = records[:, self.label_bytes :].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            labels = records[:, self.label_bytes - 1].astype(np.int64)
            parts[part] = from_arrays(pixels, labels, prefix=f"{self.prefix}/{part}")
        return Collection(self.classes, parts)

    def _records(self, path: Path) -> npt.NDArray[np.uint8]:
        size = self.label_bytes + 3072
        try:
            content = np.fromfile(path, np.uint8)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
        if not content.size or content.size % size:
            raise DataError(
                f"{path}: {content.size} bytes are no whole records of {size}; it is damaged, get it again."
            )
        records = content.reshape(-1, size)
        top = int(records[:, self.label_bytes - 1].max())
        if top >= len(self.classes):
            raise DataError(f"{path}: label {top} among {len(self.classes)} classes; it is damaged, or another set.")
        return records
