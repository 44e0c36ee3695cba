"""The views that a race begins with."""

from __future__ import annotations

from ..canvas import Tone
from .pattern import Pattern
from .view import View

__all__ = ["catalogue"]

_BLACK, _GREY, _WHITE = Pattern((0, 0, 0)), Pattern((128, 128, 128)), Pattern((255, 255, 255))


def catalogue(*, turns: bool = True) -> tuple[View, ...]:
    """Returns views that differ much from one another, the plain one first and the most useful kinds early.

    Args:
        turns: Whether flips and rotations are among them.
    """
    first = [View(size=0.73, frame=_BLACK), View(size=0.73, frame=_WHITE), View(size=0.5, frame=_GREY)]
    first += [View(tone=Tone(invert=True)), View(size=0.3, frame=_WHITE), View(size=0.87, frame=_GREY)]
    first += [View(size=1.3), View(size=0.5, frame=_BLACK), View(size=0.73, frame=_WHITE, tone=Tone(invert=True))]
    first += [View(size=0.73, resample="nearest", frame=_BLACK), View(tone=Tone(contrast=3.0))]
    turned = [View(rotation=15.0), View(flip=True), View(rotation=90.0), View(rotation=180.0), View(rotation=-90.0)]
    sizes = [View(size=size, frame=frame) for size in (0.3, 0.5, 0.73, 0.87) for frame in (_BLACK, _GREY, _WHITE)]
    others = [View(tone=Tone(gamma=0.4)), View(zoom=1.0), View(resample="nearest")]
    others += [View(size=0.73, frame=_BLACK, tone=Tone(invert=True))]
    others += [View(size=1.3, x=0.0, y=0.0), View(size=1.3, x=1.0, y=1.0)]
    others += [View(size=0.6, x=x, y=y, frame=_GREY) for x, y in ((0.0, 0.0), (1.0, 1.0))]
    others += [View(size=0.73, frame=Pattern((0, 0, 0), kind)) for kind in ("checkerboard", "noise")]
    return tuple(dict.fromkeys((View(), *first, *(turned if turns else []), *others, *sizes)))
