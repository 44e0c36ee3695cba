"""Templates: the geometry, the blend and the parameters of a pixel prompt."""

from .bases import BASES, Basis, make_basis
from .blends import STARTS, Add, Blend, Over
from .full import Full
from .padding import Padding
from .patch import Patch, RandomPatch
from .rounding import clamp_through, round_through
from .template import TEMPLATES, Geometry, PixelTemplate

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


def make_template(
    name: str, *, canvas_size: tuple[int, int], size: int, blend: Blend, place: str | None = None
) -> PixelTemplate:
    """Builds a template from what users type.

    Args:
        name: A name of TEMPLATES.
        canvas_size: (height, width) in pixels.
        size: Width of the frame, or side of the patch, in pixels; "full" has none.
        blend: How the prompt meets the canvas.
        place: Where a patch lies (see `parse_place`); top-left by default, the centre for random patches.

    Raises:
        ConfigError: The size or the place does not fit the canvas.
    """
    return PixelTemplate(name, TEMPLATES[name].from_options(canvas_size, size, place), blend)
