"""Output transforms: from what a model answers to logits of the classes that one wants."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names
from .catalogue import OUTPUTS as OUTPUTS

if TYPE_CHECKING:
    from .base import Transform as Transform
    from .cascade import CascadeOutput as CascadeOutput, SavedCascade as SavedCascade
    from .direct import Direct as Direct
    from .linear.folds import stratified_folds as stratified_folds
    from .linear.form import LinearForm as LinearForm
    from .linear.head import LinearHead as LinearHead
    from .registry import (
        candidates as candidates,
        make_output as make_output,
        output_from_json as output_from_json,
    )
    from .saved import SavedOutput as SavedOutput
    from .scores import decimals_of as decimals_of, floor_of as floor_of, to_scores as to_scores
    from .texts.templates import pretty as pretty, texts_for as texts_for, words_for as words_for
    from .texts.text import TextPrompts as TextPrompts

__all__, __getattr__, __dir__ = lazy_names(__name__)
