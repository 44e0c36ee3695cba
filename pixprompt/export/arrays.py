"""The pixels of a prompt as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..prompt import Prompt

__all__ = ["arrays"]


def arrays(page: Prompt) -> dict[str, npt.NDArray[Any]]:
    """Returns a page's arrays by name.

    - `rgba` (H, W, 4) uint8: the pixels of the file.
    - `mask` (H, W) bool: where they change the canvas.
    - `theta` float32: of blend "add" the change of R, G and B, (H, W, 3) in [-1, 1]; of "over" colours and opacity,
      (H, W, 4) in [0, 1].
    - `delta` (H, W, 3) int16: of blend "add" the whole steps -255..255 that are added to 8-bit pixels.
    """
    rgba, mask = page.rgba, page.rgba[..., 3] > 0
    if page.blend == "over":
        return {"rgba": rgba, "mask": mask, "theta": (rgba / 255).astype(np.float32)}
    change = (rgba[..., :3].astype(np.float64) - 128) / 127 * (page.delta_scale or 1.0)
    return {"rgba": rgba, "mask": mask, "theta": (change * mask[..., None]).astype(np.float32), "delta": page.delta}
