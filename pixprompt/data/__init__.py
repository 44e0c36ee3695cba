"""Data sets by name, folders and tables; their splits; the cache of decoded canvases. No torch import by itself."""

from . import digits, torchvision_sets  # noqa: F401  (each registers its data sets)
from .cache import make_canvases
from .image_set import CanvasSet, Data, ImageSet, from_arrays, from_files, join
from .load import load_data, load_images
from .registry import DATASETS

__all__ = [
    "DATASETS",
    "CanvasSet",
    "Data",
    "ImageSet",
    "from_arrays",
    "from_files",
    "join",
    "load_data",
    "load_images",
    "make_canvases",
]
