"""The geometries and the bases that have a name, described without importing them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..registry import Registry

if TYPE_CHECKING:
    from .bases import BasisMaker
    from .template import Geometry

__all__ = ["BASES", "STARTS", "TEMPLATES"]

_HERE = __name__.rpartition(".")[0]

STARTS = ("flat", "normal")
"""How the parameters of a prompt begin."""

TEMPLATES: Registry[type[Geometry]] = Registry(
    "template",
    {
        "full": (f"{_HERE}.full:Full", "Every pixel of the canvas, 3 H W parameters."),
        "padding": (
            f"{_HERE}.padding:Padding",
            "A frame of `p` pixels along the border: 2 p (H + W - 2 p) pixels, 69,840 parameters at p=30 on 224x224.",
        ),
        "patch": (f"{_HERE}.patch:Patch", "A square of `p`x`p` pixels at a chosen place."),
        "random-patch": (
            f"{_HERE}.patch:RandomPatch",
            "A square of `p`x`p` pixels, at a new place for every training batch; the PNG shows it at `place`.",
        ),
    },
    group="pixprompt.templates",
    needs="from_options",
)
BASES: Registry[BasisMaker] = Registry(
    "basis",
    {
        "blocks": (
            f"{_HERE}.bases:Blocks",
            "One colour per block of a grid over the template's rectangle, of those that touch the template.",
        ),
        "dct": (f"{_HERE}.bases:Dct", "Low-frequency cosines over the template's rectangle, per channel."),
        "low-rank": (
            f"{_HERE}.bases:LowRank",
            "A product B A of two factors per channel, over the template's rectangle: bilinear in x = (B, A).",
        ),
        "pixels": (f"{_HERE}.bases:Pixels", "Every parameter of the prompt on its own: D = P."),
    },
)
