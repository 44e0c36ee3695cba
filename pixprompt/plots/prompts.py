"""A prompt made visible."""

from __future__ import annotations

import numpy as np

from ..prompt import Prompt
from .style import Pixels

__all__ = ["amplified", "on_checkers"]

_MIDDLE = 128
_FREE = 216


def on_checkers(prompt: Prompt) -> Pixels:
    """Shows what is transparent as a grey checkerboard, (H, W, 3)."""
    height, width = prompt.canvas.size
    rows, columns = np.indices((height, width)) // 8
    board = np.where((rows + columns) % 2 == 0, 205, 235)[..., None]
    alpha = prompt.rgba[..., 3:] / 255.0
    return (alpha * prompt.rgba[..., :3] + (1 - alpha) * board).round().astype(np.uint8)


def amplified(prompt: Prompt) -> tuple[Pixels, float]:
    """Stretches a prompt's colours around grey until the strongest hundredth of them is extreme.

    Returns:
        The picture (H, W, 3), light grey where the prompt is transparent, and the factor of the stretch, at least 1.
    """
    covered = prompt.rgba[..., 3] > 0
    away = prompt.rgba[..., :3].astype(np.float64) - _MIDDLE
    strong = float(np.percentile(np.abs(away[covered]), 99)) if covered.any() else 0.0
    factor = max(1.0, 127.0 / strong) if strong else 1.0
    stretched = (_MIDDLE + factor * away).round().clip(0, 255).astype(np.uint8)
    return np.where(covered[..., None], stretched, np.uint8(_FREE)), factor
