"""The views that a race begins with."""

from __future__ import annotations

from ..canvas import Tone
from .pattern import Pattern
from .view import View

__all__ = ["catalogue"]

_BLACK, _GREY, _WHITE = Pattern((0, 0, 0)), Pattern((128, 128, 128)), Pattern((255, 255, 255))


def catalogue(*, turns: bool = True) -> tuple[View, ...]:
    """Returns views that differ much from one another, the plain one first.

    Args:
        turns: Whether flips and rotations are among them.
    """
    sizes = (0.3, 0.5, 0.73, 0.87)
    framed = [View(size=size, frame=frame) for size in sizes for frame in (_BLACK, _GREY, _WHITE)]
    tones = [View(tone=Tone(invert=True)), View(tone=Tone(contrast=3.0)), View(tone=Tone(gamma=0.4))]
    tones += [View(size=0.73, frame=frame, tone=Tone(invert=True)) for frame in (_BLACK, _WHITE)]
    cropped = [View(zoom=1.0), View(size=1.3), View(size=1.3, x=0.0, y=0.0), View(size=1.3, x=1.0, y=1.0)]
    placed = [View(size=0.6, x=x, y=y, frame=_GREY) for x, y in ((0.0, 0.0), (1.0, 1.0))]
    patterned = [View(size=0.73, frame=Pattern((0, 0, 0), kind)) for kind in ("checkerboard", "noise")]
    filtered = [View(resample="nearest"), View(size=0.73, resample="nearest", frame=_BLACK)]
    turned = [View(flip=True), View(rotation=90.0), View(rotation=-90.0), View(rotation=180.0), View(rotation=15.0)]
    return (View(), *framed, *tones, *cropped, *placed, *patterned, *filtered, *(turned if turns else []))
