"""Saliency maps, laid over the image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from PIL import Image

from .style import Pixels

__all__ = ["heat_key", "heat_overlay"]

_OPACITY = 0.65


def heat_overlay(image: Pixels, heat: npt.NDArray[np.floating], *, smooth: bool) -> Pixels:
    """Lays a map over an image: untouched at 0, dark red to yellow towards 1.

    Args:
        image: (H, W, 3); not written to.
        heat: (h, w) in [0, 1], of any size.
        smooth: Interpolate between the cells, or show them as they are.

    Returns:
        (H, W, 3) uint8.
    """
    height, width = image.shape[:2]
    kind = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    small = Image.fromarray(np.ascontiguousarray(heat, dtype=np.float32))
    large = np.asarray(small.resize((width, height), kind)).clip(0, 1)
    return _mixed(image, large)


def heat_key(width: int = 256, height: int = 12) -> Pixels:
    """Returns the colours of `heat_overlay` on grey from 0 on the left to 1 on the right, (height, width, 3)."""
    return _mixed(np.full((height, width, 3), 128, np.uint8), np.linspace(0, 1, width)[None].repeat(height, 0))


def _mixed(image: Pixels, heat: npt.NDArray[np.floating]) -> Pixels:
    color = colormaps["inferno"](0.25 + 0.75 * heat)[..., :3] * 255
    alpha = _OPACITY * np.minimum(1, 2 * heat)[..., None]
    mixed: Pixels = ((1 - alpha) * image + alpha * color).round().astype(np.uint8)
    return mixed
