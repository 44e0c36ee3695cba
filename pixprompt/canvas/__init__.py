"""From an image file to the 8-bit canvas that a model sees: the one place that makes canvases. No torch import."""

from .canvas import ASPECTS, FILTERS, FITS, MAX_CANVAS_PIXELS, MOST_ASPECT, Canvas, Pixels
from .decoding import FORMATS, MAX_PIXELS, decode, from_array, open_image, to_rgb
from .encoding import encode_png
from .tone import Tone

__all__ = [
    "ASPECTS",
    "FILTERS",
    "FITS",
    "FORMATS",
    "MAX_CANVAS_PIXELS",
    "MAX_PIXELS",
    "MOST_ASPECT",
    "Canvas",
    "Pixels",
    "Tone",
    "decode",
    "encode_png",
    "from_array",
    "open_image",
    "to_rgb",
]
