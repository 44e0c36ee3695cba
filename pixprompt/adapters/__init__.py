"""Adapters: what is fitted and evaluated."""

from ..registry import Registry
from .bar import BarPrompter
from .coordinator import Coordinator, CoordinatorSpec
from .pixel import SPACES, PixelPrompt
from .search import InBasis, Prompter

__all__ = [
    "METHODS",
    "SPACES",
    "BarPrompter",
    "Coordinator",
    "CoordinatorSpec",
    "InBasis",
    "PixelPrompt",
    "Prompter",
]

METHODS: Registry[type] = Registry("method")
METHODS.register("pixel", "one pixel prompt for every image, saved as a PNG")(PixelPrompt)
METHODS.register("bar", "BAR: an opaque frame around the shrunk image, learned from answers (arXiv 2007.08714)")(
    BarPrompter
)
METHODS.register("blackvip", "BlackVIP: a prompt for each image, learned from answers (arXiv 2303.14773)")(Coordinator)
METHODS.register("none", "no prompt: the output transform alone, fitted on answers")(object)
