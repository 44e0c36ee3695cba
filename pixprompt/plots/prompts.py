"""A prompt as a picture."""

from __future__ import annotations

import numpy as np

from ..prompt import Prompt
from .style import Pixels

__all__ = ["amplified", "color_key", "on_checkers"]

_GRAY = 128
_TRANSPARENT = 216


def on_checkers(prompt: Prompt) -> Pixels:
    """Shows what is transparent as a grey checkerboard, (H, W, 3)."""
    rows, columns = np.indices(prompt.canvas.size) // 8
    board = np.where((rows + columns) % 2 == 0, 205, 235)[..., None]
    alpha = prompt.rgba[..., 3:] / 255.0
    return (alpha * prompt.rgba[..., :3] + (1 - alpha) * board).round().astype(np.uint8)


def amplified(prompt: Prompt) -> tuple[Pixels, float]:
    """Stretches a prompt's colours around grey until the strongest hundredth of them is extreme.

    Returns:
        The picture (H, W, 3), light grey where the prompt is transparent, and the factor of the stretch, at least 1.
    """
    covered = prompt.rgba[..., 3] > 0
    offset = prompt.rgba[..., :3].astype(np.float64) - _GRAY
    strong = float(np.percentile(np.abs(offset[covered]), 99)) if covered.any() else 0.0
    factor = max(1.0, 127.0 / strong) if strong else 1.0
    stretched = (_GRAY + factor * offset).round().clip(0, 255).astype(np.uint8)
    return np.where(covered[..., None], stretched, np.uint8(_TRANSPARENT)), factor


def color_key(prompt: Prompt, factor: float) -> tuple[float, str]:
    """Says what the darkest and the brightest colour of `amplified` stand for.

    Args:
        factor: Of its stretch.

    Returns:
        The end of a scale that is symmetric around grey, and what it counts: steps of 255 that a channel is changed
        by, or, of a prompt that covers the image, steps that its colour is away from grey.
    """
    if prompt.blend == "add":
        return 255 * (prompt.delta_scale or 1.0) / factor, "change of a colour channel (of 255)"
    return 127 / factor, "colour channel of the overlay, from mid-grey (of 255)"
