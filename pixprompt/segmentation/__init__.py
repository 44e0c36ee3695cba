"""Semantic segmentation by a frozen vision transformer with prompts: data, head, fitting, scores."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names
from .config import METHODS, SegmentConfig

if TYPE_CHECKING:
    from .adapter_file import SavedSegmenter, load_segmenter, save_segmenter
    from .ade20k import IGNORED, LabelledImages, SegmentationData, load_segmentation
    from .inference import SCALES, Windows, count_confusion
    from .metrics import Confusion
    from .pup import UpHead
    from .run import evaluate, make_windows, train
    from .segmenter import Design, Segmenter

__all__ = [
    "IGNORED",
    "METHODS",
    "SCALES",
    "Confusion",
    "Design",
    "LabelledImages",
    "SavedSegmenter",
    "SegmentConfig",
    "SegmentationData",
    "Segmenter",
    "UpHead",
    "Windows",
    "count_confusion",
    "evaluate",
    "load_segmentation",
    "load_segmenter",
    "make_windows",
    "save_segmenter",
    "train",
]

__getattr__ = lazy_names(
    __name__,
    {
        "ade20k": "IGNORED LabelledImages SegmentationData load_segmentation",
        "adapter_file": "SavedSegmenter load_segmenter save_segmenter",
        "inference": "SCALES Windows count_confusion",
        "metrics": "Confusion",
        "pup": "UpHead",
        "run": "evaluate train make_windows",
        "segmenter": "Design Segmenter",
    },
)
