"""Templates: the geometry, the blend and the parameters of a pixel prompt."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names
from .catalogue import BASES, STARTS, TEMPLATES

if TYPE_CHECKING:
    from .bases import Basis, make_basis
    from .blends import Add, Blend, Over
    from .full import Full
    from .padding import Padding
    from .patch import Patch, RandomPatch
    from .rounding import clamp_through, round_through
    from .template import Geometry, PixelTemplate, make_template

__all__ = [
    "BASES",
    "STARTS",
    "TEMPLATES",
    "Add",
    "Basis",
    "Blend",
    "Full",
    "Geometry",
    "Over",
    "Padding",
    "Patch",
    "PixelTemplate",
    "RandomPatch",
    "clamp_through",
    "make_basis",
    "make_template",
    "round_through",
]

__getattr__ = lazy_names(
    __name__,
    {
        "bases": "Basis make_basis",
        "blends": "Add Blend Over",
        "full": "Full",
        "padding": "Padding",
        "patch": "Patch RandomPatch",
        "rounding": "clamp_through round_through",
        "template": "Geometry PixelTemplate make_template",
    },
)
