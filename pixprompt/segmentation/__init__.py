"""Semantic segmentation by a frozen vision transformer with prompts: data, head, fitting, scores."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names
from .config import METHODS as METHODS, SegmentConfig as SegmentConfig

if TYPE_CHECKING:
    from .adapter_file import (
        SavedSegmenter as SavedSegmenter,
        load_segmenter as load_segmenter,
        save_segmenter as save_segmenter,
    )
    from .ade20k import (
        IGNORED as IGNORED,
        LabeledImages as LabeledImages,
        SegmentationData as SegmentationData,
        load_segmentation as load_segmentation,
    )
    from .inference import SCALES as SCALES, Windows as Windows, count_confusion as count_confusion
    from .metrics import Confusion as Confusion
    from .pup import UpHead as UpHead
    from .run import evaluate as evaluate, make_windows as make_windows, train as train
    from .segmenter import Design as Design, Segmenter as Segmenter

__all__, __getattr__, __dir__ = lazy_names(__name__)
