"""Gaussian features with known distances, noisy pictures, and an extractor that takes microseconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pixprompt.canvas import Canvas
from pixprompt.data import ImageSet, from_arrays, from_files
from pixprompt.diagnostics.features.extract import Extractor

DIM = 12


def pictures(count: int, seed: int, size: int = 16) -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 200, (count, 1, 1, 3)) + rng.integers(0, 55, (count, size, size, 3))
    return levels.astype(np.uint8)


def picture_set(count: int, seed: int, labels: Sequence[int] | None = None) -> ImageSet:
    return from_arrays(pictures(count, seed), labels or [-1] * count, prefix=f"toy{seed}")


class Projection:
    """A fixed random projection of 4x4 blocks; counts its calls, and stops at one if told to."""

    def __init__(self, stop_at: int | None = None) -> None:
        generator = torch.Generator().manual_seed(3)
        self.weights = torch.randn(4 * 4 * 3, DIM, generator=generator) / 7
        self.images = 0
        self.calls = 0
        self.stop_at = stop_at

    def __call__(self, canvases: Sequence[npt.NDArray[Any]]) -> Tensor:
        self.calls += 1
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        self.images += len(canvases)
        pixels = torch.stack([torch.from_numpy(np.array(canvas)) for canvas in canvases]).float() / 255
        blocks = pixels.reshape(len(pixels), 4, 4, 4, 4, 3).mean((2, 4))
        return blocks.flatten(1) @ self.weights


def toy_extractor(projection: Projection | None = None, *, family: str = "model", name: str = "toy") -> Extractor:
    return Extractor(name, family, "0" * 64, DIM, Canvas((16, 16)), "canvas 16x16", projection or Projection())


def gaussian(num: int, dim: int = DIM, seed: int = 0, shift: float = 0.0, scale: float = 1.0) -> npt.NDArray[Any]:
    """Correlated features (num, dim) with a falling spectrum."""
    rng = np.random.default_rng(seed)
    mixing = np.linalg.qr(np.random.default_rng(99).normal(size=(dim, dim)))[0]
    return (rng.normal(size=(num, dim)) * np.exp(-np.arange(dim) / 6)) @ mixing * scale + shift


def photo_set(assets: Path, folder: str, count: int) -> ImageSet:
    """Evenly spaced real images of a folder of the assets, classes by their folders where there are some."""
    files = sorted((assets / "data" / folder).rglob("*.*"))
    chosen = [files[index] for index in np.linspace(0, len(files) - 1, count).astype(int)]
    return from_files(chosen, [-1] * count)
