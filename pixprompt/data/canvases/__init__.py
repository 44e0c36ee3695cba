"""From images to canvases: decoded once, stored on disk within bounds, read when they are needed."""

from .cache import cache_folder, make_canvases
from .rows import CanvasRows, CanvasSet
from .store import CanvasStore

__all__ = ["CanvasRows", "CanvasSet", "CanvasStore", "cache_folder", "make_canvases"]
