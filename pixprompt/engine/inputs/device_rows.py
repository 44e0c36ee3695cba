"""Canvases on an accelerator: kept there as bytes where they fit, so that no step waits for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...data.canvases import CanvasRows, CanvasSet
from ...data.canvases.rows import Indices, Rows

__all__ = ["DeviceRows", "free_bytes", "on_device"]

_SHARE = 4
"""Of the free memory a set of canvases takes at most one part in so many."""
_BLOCK = 256


class DeviceRows(Rows):
    """Canvases (N, H, W, 3) uint8 of which a device holds a copy; images are made of that.

    Args:
        rows: Where canvases are read on the CPU.
        device: Takes N * H * W * 3 bytes.
    """

    def __init__(self, rows: Rows, device: str) -> None:
        self.shape, self._rows = rows.shape, rows
        self._pixels = torch.empty(rows.shape, dtype=torch.uint8, device=device)
        for start in range(0, len(rows), _BLOCK):
            self._pixels[start : start + _BLOCK] = torch.from_numpy(rows[start : start + _BLOCK])

    def images(self, chosen: Indices, device: str = "cpu") -> Tensor:
        """See `Rows`."""
        place = chosen if isinstance(chosen, slice) else torch.as_tensor(np.asarray(chosen))
        return self._pixels[place].to(device).permute(0, 3, 1, 2).float() / 255

    def expect(self, order: Iterable[int]) -> None:
        """See `Rows`."""
        self._rows.expect(order)

    def _read(self, indices: npt.NDArray[np.int64], rows: npt.NDArray[np.uint8]) -> None:
        rows[:] = self._rows[indices]


def on_device(canvases: CanvasSet, device: str) -> CanvasSet:
    """Returns the same canvases, copied to an accelerator where they are decoded and take a quarter of its free memory.

    Args:
        canvases: N images.
        device: Where the model works.
    """
    rows = canvases.pixels
    fits = isinstance(rows, CanvasRows) and int(np.prod(rows.shape)) <= free_bytes(device) // _SHARE
    return replace(canvases, pixels=DeviceRows(rows, device)) if fits else canvases


def free_bytes(device: str) -> int:
    """Returns the free memory of an accelerator; 0 where the CPU reads its own, or torch does not know it."""
    if torch.device(device).type == "cpu":
        return 0
    ask: Callable[[str], tuple[int, int]] | None = getattr(torch.get_device_module(device), "mem_get_info", None)
    return ask(device)[0] if ask else 0
