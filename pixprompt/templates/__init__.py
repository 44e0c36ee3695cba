"""Templates: the geometry, the blend and the parameters of a pixel prompt."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names
from .catalogue import BASES as BASES, STARTS as STARTS, TEMPLATES as TEMPLATES

if TYPE_CHECKING:
    from .bases import Basis as Basis, make_basis as make_basis
    from .blends import Add as Add, Blend as Blend, Over as Over
    from .full import Full as Full
    from .padding import Padding as Padding
    from .patch import Patch as Patch, RandomPatch as RandomPatch
    from .rounding import clamp_through as clamp_through, round_through as round_through
    from .template import (
        Geometry as Geometry,
        PixelTemplate as PixelTemplate,
        make_template as make_template,
    )

__all__, __getattr__, __dir__ = lazy_names(__name__)
