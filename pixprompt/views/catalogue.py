"""The views that a race begins with."""

from __future__ import annotations

from ..canvas import Tone
from .pattern import Pattern
from .view import View

__all__ = ["catalogue"]

_BLACK, _GREY, _WHITE = Pattern((0, 0, 0)), Pattern((128, 128, 128)), Pattern((255, 255, 255))
_YELLOW = Pattern((230, 210, 40))


def catalogue(*, turns: bool = True) -> tuple[View, ...]:
    """Returns views that differ much from one another, the plain one first.

    The order is that of a forward selection on the answers of a real classifier, all probabilities, top-5 and label
    only, about digits and photographs: a race that pays for k views takes the first k.

    Args:
        turns: Whether flips and rotations are among them.
    """
    ordered = [
        View(),
        View(zoom=1.6),
        View(size=0.5, x=0.0, y=1.0, frame=_GREY),
        View(flip=True),
        View(rotation=-15.0),
        View(size=0.73, frame=_WHITE),
        View(zoom=1.0),
        View(size=0.5, x=0.0, y=0.0, frame=_GREY),
        View(size=0.43, frame=_BLACK),
        View(tone=Tone(invert=True)),
        View(rotation=45.0),
        View(size=0.73, frame=_YELLOW),
        View(size=0.58, frame=_BLACK),
        View(size=0.5, x=1.0, y=1.0, frame=_GREY),
        View(zoom=1.3),
        View(size=0.3, frame=_WHITE),
        View(rotation=90.0),
        View(size=0.87, frame=_GREY),
        View(size=0.73, frame=_BLACK),
        View(rotation=15.0),
        View(tone=Tone(contrast=3.0)),
        View(size=0.3, frame=_BLACK),
        View(size=0.73, frame=Pattern((0, 0, 0), "checkerboard")),
        View(size=0.73, frame=_WHITE, tone=Tone(invert=True)),
        View(rotation=180.0),
        View(rotation=-90.0),
        View(size=0.5, x=1.0, y=0.0, frame=_GREY),
        View(tone=Tone(gamma=0.4)),
        View(resample="nearest"),
        View(size=1.3, x=0.0, y=0.0),
        View(size=1.3, x=1.0, y=1.0),
    ]
    sizes = [View(size=size, frame=frame) for size in (0.3, 0.5, 0.73, 0.87) for frame in (_BLACK, _GREY, _WHITE)]
    views = tuple(dict.fromkeys((*ordered, *sizes)))
    return views if turns else tuple(view for view in views if not view.turns)
