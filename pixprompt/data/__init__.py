"""Data sets by name, folders and tables; their splits; the cache of decoded canvases. No torch import by itself."""

from .canvases import CanvasSet, make_canvases
from .catalogue import DATASETS
from .image_set import Data, ImageSet, from_arrays, from_files, join
from .load import each_image, load_data, load_images

__all__ = [
    "DATASETS",
    "CanvasSet",
    "Data",
    "ImageSet",
    "each_image",
    "from_arrays",
    "from_files",
    "join",
    "load_data",
    "load_images",
    "make_canvases",
]
