"""Images as numbers: from uint8 pixels to what a remote model was made for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core import ConfigError
from ..messages import Picture
from .answers import finite

__all__ = ["LAYOUTS", "PixelValues"]

LAYOUTS = ("NCHW", "NHWC")


class PixelValues:
    """The number that each of the 256 values of each channel becomes.

    Args:
        option: "unit" for [0, 1], "byte" for 0 to 255, or {"mean": [...], "std": [...]} of the unit values.

    Attributes:
        table: (256, 3) float32.
        decimals: The same, (256, 3) float64: the shortest decimal numbers that are read as these float32.

    Raises:
        ConfigError: The option is none of these.
    """

    def __init__(self, option: object = "unit") -> None:
        bytes_ = np.repeat(np.arange(256, dtype=np.float32)[:, None], 3, axis=1)
        unit = bytes_ / np.float32(255)
        if option == "byte":
            self.table = bytes_
        elif option == "unit":
            self.table = unit
        else:
            mean, std = _statistics(option)
            self.table = (unit - mean) / std
        self.decimals = np.array([[float(str(value)) for value in row] for row in self.table])

    def tensor(self, pictures: Sequence[Picture], layout: str, *, decimals: bool = False) -> npt.NDArray[Any]:
        """Returns the images (N, 3, H, W) or (N, H, W, 3): float32, or the float64 that print shortly."""
        table = self.decimals if decimals else self.table
        return _arrange(table[np.stack([picture.pixels for picture in pictures]), np.arange(3)], layout)

    @staticmethod
    def integers(pictures: Sequence[Picture], layout: str) -> npt.NDArray[Any]:
        """Returns the pixels as they are, (N, 3, H, W) or (N, H, W, 3)."""
        return _arrange(np.stack([picture.pixels for picture in pictures]), layout)


def _arrange(images: npt.NDArray[Any], layout: str) -> npt.NDArray[Any]:
    """Turns (N, H, W, 3) into the layout that is wanted."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2) if layout == "NCHW" else images)


def _statistics(option: object) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    expectation = 'expected option "range" to be "unit", "byte" or {"mean": [three numbers], "std": [three, above 0]}'
    if not isinstance(option, dict) or set(option) != {"mean", "std"}:
        raise ConfigError(f"{expectation}, got {option!r}.")
    for name in ("mean", "std"):
        values = option[name]
        if not isinstance(values, list | tuple) or len(values) != 3 or any(finite(value) is None for value in values):
            raise ConfigError(f"{expectation}, got {option!r}.")
    mean, std = (np.array(option[name], dtype=np.float32) for name in ("mean", "std"))
    if (std <= 0).any():
        raise ConfigError(f"{expectation}, got {option!r}.")
    return mean, std
