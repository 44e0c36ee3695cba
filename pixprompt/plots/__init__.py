"""Every figure that the tool draws, by what it shows."""

from .curves import Track, curves_figure, queries_of, spending_figure
from .gallery import WHITE, Cell, Column, Mark, gallery_figure, heat_pixels
from .heat import heat_key, heat_overlay
from .ladder import Rung, ladder_figure
from .matrices import Labels, confusion, confusion_figure
from .preview import Preview, preview_figure
from .prompts import amplified, color_key, on_checkers
from .scatter import PointPanel, points_figure
from .student import student_figure
from .style import Pixels, save_png, to_svg

__all__ = [
    "WHITE",
    "Cell",
    "Column",
    "Labels",
    "Mark",
    "Pixels",
    "PointPanel",
    "Preview",
    "Rung",
    "Track",
    "amplified",
    "color_key",
    "confusion",
    "confusion_figure",
    "curves_figure",
    "gallery_figure",
    "heat_key",
    "heat_overlay",
    "heat_pixels",
    "ladder_figure",
    "on_checkers",
    "points_figure",
    "preview_figure",
    "queries_of",
    "save_png",
    "spending_figure",
    "student_figure",
    "to_svg",
]
