"""Semantic segmentation by a frozen vision transformer with prompts: data, head, fitting, scores."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names
from .config import METHODS, SegmentConfig

if TYPE_CHECKING:
    from .ade20k import IGNORED, LabelledImages, SegmentationData, load_segmentation
    from .artefact import Saved, load_segmenter, save_segmenter
    from .inference import SCALES, Windows, confusion_of
    from .metrics import Confusion
    from .pup import UpHead
    from .run import evaluate, train, windows_of
    from .segmenter import Design, Segmenter

__all__ = [
    "IGNORED",
    "METHODS",
    "SCALES",
    "Confusion",
    "Design",
    "LabelledImages",
    "Saved",
    "SegmentConfig",
    "SegmentationData",
    "Segmenter",
    "UpHead",
    "Windows",
    "confusion_of",
    "evaluate",
    "load_segmentation",
    "load_segmenter",
    "save_segmenter",
    "train",
    "windows_of",
]

__getattr__ = lazy_names(
    __name__,
    {
        "ade20k": "IGNORED LabelledImages SegmentationData load_segmentation",
        "artefact": "Saved load_segmenter save_segmenter",
        "inference": "SCALES Windows confusion_of",
        "metrics": "Confusion",
        "pup": "UpHead",
        "run": "evaluate train windows_of",
        "segmenter": "Design Segmenter",
    },
)
