"""Output transforms: from what a model answers to logits of the classes that one wants.

A module of this folder that registers a class in OUTPUTS is found by itself.
"""

import importlib
import pkgutil

from .base import Transform, pretty
from .direct import Direct
from .head import LinearHead
from .registry import OUTPUTS, candidates, make_output, output_from_json
from .scores import decimals_of, floor_of
from .templates import texts_for, words_for

__all__ = [
    "OUTPUTS",
    "Direct",
    "LinearHead",
    "Transform",
    "candidates",
    "decimals_of",
    "floor_of",
    "make_output",
    "output_from_json",
    "pretty",
    "texts_for",
    "words_for",
]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
