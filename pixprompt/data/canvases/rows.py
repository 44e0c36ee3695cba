"""Decoded canvases as the engine takes them: rows that are read when they are indexed, with labels and names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ...tensor_checks import to_images

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CanvasRows", "CanvasSet", "Indices", "Rows"]

Pixels = npt.NDArray[np.uint8]
Indices: TypeAlias = slice | Sequence[int] | npt.NDArray[np.integer[Any]]


class Rows(ABC):
    """Canvases (N, H, W, 3) uint8 that are read when they are indexed.

    An index, a slice or an array of indices gives a new array, which its owner may change.
    """

    dtype = np.dtype(np.uint8)
    shape: tuple[int, int, int, int]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: int | Indices) -> Pixels:
        indices = np.arange(len(self))[chosen]
        canvases = np.empty((*indices.shape, *self.shape[1:]), dtype=np.uint8)
        self._read(indices.ravel(), canvases.reshape(-1, *self.shape[1:]))
        return canvases

    def images(self, chosen: Indices, device: str = "cpu") -> Tensor:
        """Returns images (n, 3, H, W) float32 in [0, 1] on a device; see `to_images`."""
        return to_images(self[chosen], device)

    @abstractmethod
    def _read(self, indices: npt.NDArray[np.int64], rows: Pixels) -> None:
        """Copies the canvases (n, H, W, 3) of n indices into `rows`."""

    @abstractmethod
    def expect(self, order: Iterable[int]) -> None:
        """Says which rows will be read next, in order, so that they can be read ahead."""


class CanvasRows(Rows):
    """Canvases that lie in memory or in mapped files."""

    def __init__(
        self, sources: Sequence[Pixels | Sequence[Pixels]], places: npt.NDArray[np.int64], shape: tuple[int, int, int]
    ) -> None:
        """Gathers N rows.

        Args:
            sources: What rows are taken from.
            places: (N, 2), source and row of each canvas.
            shape: Of one canvas.
        """
        self.shape = (len(places), *shape)
        self._sources = sources
        self._places = places

    def expect(self, order: Iterable[int]) -> None:
        """See `Rows`; all of them are there."""

    def _read(self, indices: npt.NDArray[np.int64], rows: Pixels) -> None:
        for number, (source, row) in enumerate(self._places[indices]):
            rows[number] = self._sources[source][row]


@dataclass(frozen=True, eq=False)
class CanvasSet:
    """Decoded canvases.

    Attributes:
        pixels: (N, H, W, 3) uint8, mapped from the canvas store, or decoded when they are read.
        labels: (N,) int64.
        names: N names.
        skipped: (name, reason) of each image that could not be read; not among the N.
    """

    pixels: Rows
    labels: npt.NDArray[np.int64]
    names: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
