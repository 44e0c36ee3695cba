"""Output transforms: from what a model answers to logits of the classes that one wants."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names
from .catalogue import OUTPUTS

if TYPE_CHECKING:
    from .base import Transform, pretty
    from .direct import Direct
    from .head import LinearHead
    from .linear_form import stratified_folds
    from .registry import candidates, make_output, output_from_json
    from .saved import SavedOutput
    from .scores import decimals_of, floor_of, to_scores
    from .templates import texts_for, words_for

__all__ = [
    "OUTPUTS",
    "Direct",
    "LinearHead",
    "SavedOutput",
    "Transform",
    "candidates",
    "decimals_of",
    "floor_of",
    "make_output",
    "output_from_json",
    "pretty",
    "stratified_folds",
    "texts_for",
    "to_scores",
    "words_for",
]

__getattr__ = lazy_names(
    __name__,
    {
        "base": "Transform pretty",
        "direct": "Direct",
        "head": "LinearHead",
        "linear_form": "stratified_folds",
        "registry": "candidates make_output output_from_json",
        "saved": "SavedOutput",
        "scores": "decimals_of floor_of to_scores",
        "templates": "texts_for words_for",
    },
)
