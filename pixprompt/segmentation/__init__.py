"""Semantic segmentation by a frozen vision transformer with prompts: data, head, fitting, scores."""

from .ade20k import IGNORED, LabelledImages, SegmentationData, load_segmentation
from .artefact import Saved, load_segmenter, save_segmenter
from .config import METHODS, SegmentConfig
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
