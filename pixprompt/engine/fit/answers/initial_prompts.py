"""Where a search by answers may start: the image shrunk or not, and the colour of the frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ....adapters import Learning
from ....seeds import stream
from ....templates import PixelTemplate
from ...parts import Parts

__all__ = ["SURROGATE_SHARES", "Start", "num_starts", "starts_of"]

SURROGATE_SHARES = (1.0, 0.5)
"""Of a prompt learned on a surrogate that are tried: elsewhere it is often right in direction, but too strong."""
_COLORS = {"black": 0.0, "grey": 0.5, "white": 1.0}


@dataclass(frozen=True)
class Start:
    """A first prompt.

    Attributes:
        name: For history and notes.
        theta: (P,).
        shrink: Whether the image is shrunk into the frame.
        blank: Whether it leaves every image as it is.
    """

    name: str
    theta: Tensor
    shrink: bool
    blank: bool = False


def starts_of(parts: Parts) -> list[Start]:
    """Returns the starts to choose from, the template's own first; just one where the settings say which.

    A frame around a shrunk image may be black, grey or white; one on top of the image may leave it alone, or cover it
    in black or white. A colour alone can be worth more than thousands of queries of search.
    """
    config, template = parts.config, parts.template
    can_shrink = template.geometry.frame > 0
    fits = [config.prompt.fit == "shrink"] if config.prompt.fit else [False, True] if can_shrink else [False]
    own = template.init(generator=stream(config.seed, "init"))
    blank = template.blend.starts_blank and not fits[0]
    starts = [Start("normal" if config.prompt.start == "normal" else "flat", own, fits[0], blank)]
    if config.prompt.start is None:
        starts += [
            Start(f"{color}{', shrunk' if shrink else ''}", _filled(template, value, shrink), shrink)
            for shrink in fits
            for color, value in _COLORS.items()
        ]
    distinct: dict[tuple[bool, bytes], Start] = {}
    for start in starts:
        distinct.setdefault((start.shrink, start.theta.numpy().tobytes()), start)
    return list(distinct.values())


def num_starts(parts: Parts) -> int:
    """Returns how many starts have to be tried: those that change nothing are known already."""
    if parts.config.method.learning is not Learning.GRADIENTS:
        return 1
    learned = len(SURROGATE_SHARES) if parts.config.search.surrogate else 0
    return sum(not start.blank for start in starts_of(parts)) + learned


def _filled(template: PixelTemplate, value: float, shrink: bool) -> Tensor:
    """Returns the theta that shows a colour: a delta from the black frame of a shrunk image, or from the image."""
    plane = torch.full((template.blend.channels, template.geometry.num_pixels), value)
    if template.blend.name == "add" and not shrink:
        plane = 2 * plane - 1  # -1 blackens every pixel, 1 whitens it, 0 leaves it alone
    if template.blend.channels == 4:
        plane[3] = 0.5
    return template.project(plane.flatten())
