"""A prompt as plain PNGs, where those do exactly what it does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..canvas import Pixels
from ..core import PromptError
from ..prompt import Prompt

__all__ = ["overlay", "pair"]


def overlay(page: Prompt) -> Pixels:
    """Returns pixels (H, W, 4) that, composited over a canvas, give what `page.overlay` gives.

    Raises:
        PromptError: No such pixels exist: a signed change is an overlay only where it changes nothing or saturates.
    """
    if page.blend == "over":
        return page.rgba
    delta = page.delta
    unchanged, saturated = (delta == 0).all(-1), (np.abs(delta) == 255).all(-1)
    _check_exact(unchanged | saturated, page, "an overlay", "'pair' is exact")
    color = np.where(delta > 0, 255, 0)
    return np.concatenate([color, np.where(unchanged, 0, 255)[..., None]], axis=-1).astype(np.uint8)


def pair(page: Prompt) -> tuple[Pixels, Pixels]:
    """Returns two images (H, W, 3): `min(255, canvas + first)`, then `max(0, that - second)`, is what the page gives.

    Raises:
        PromptError: No such images exist: a half-transparent pixel mixes, and does not add.
    """
    if page.blend == "add":
        delta = page.delta
        return delta.clip(0, 255).astype(np.uint8), (-delta).clip(0, 255).astype(np.uint8)
    opaque, clear = page.rgba[..., 3] == 255, page.rgba[..., 3] == 0
    _check_exact(opaque | clear, page, "a pair", "'overlay' is exact")
    color = page.rgba[..., :3]
    added = np.where(opaque[..., None], np.full_like(color, 255), 0)
    return added.astype(np.uint8), np.where(opaque[..., None], 255 - color, 0).astype(np.uint8)


def _check_exact(exact: npt.NDArray[np.bool_], page: Prompt, what: str, instead: str) -> None:
    wrong = 1 - float(exact.mean())
    if wrong:
        raise PromptError(
            f"a prompt of blend {page.blend!r} is no {what.split()[-1]}: used as {what} it would be wrong at "
            f"{wrong:.1%} of its pixels. {instead}, and so are 'arrays' and 'onnx'."
        )
