"""Adapters: what is fitted and evaluated. `METHODS` costs no import of torch; the other names import it when used."""

import importlib
from typing import TYPE_CHECKING, Any

from .methods import METHODS, Grid, Learning, Method, MethodSettings, register

if TYPE_CHECKING:
    from .bar import BarPrompter
    from .baselines import BASELINES, make_baseline
    from .coordinator import Coordinator, CoordinatorSpec
    from .pixel import PixelPrompt
    from .sa2vp import SA2VP, make_sa2vp
    from .search import InBasis, Prompter
    from .vpt import ViTVPT, make_vpt
    from .whitebox import Supervised, WhiteBox

__all__ = [
    "BASELINES",
    "METHODS",
    "SA2VP",
    "BarPrompter",
    "Coordinator",
    "CoordinatorSpec",
    "Grid",
    "InBasis",
    "Learning",
    "Method",
    "MethodSettings",
    "PixelPrompt",
    "Prompter",
    "Supervised",
    "ViTVPT",
    "WhiteBox",
    "make_baseline",
    "make_sa2vp",
    "make_vpt",
    "register",
]

_HOMES = {
    "BASELINES": "baselines",
    "BarPrompter": "bar",
    "Coordinator": "coordinator",
    "CoordinatorSpec": "coordinator",
    "InBasis": "search",
    "PixelPrompt": "pixel",
    "Prompter": "search",
    "SA2VP": "sa2vp",
    "Supervised": "whitebox",
    "ViTVPT": "vpt",
    "WhiteBox": "whitebox",
    "make_baseline": "baselines",
    "make_sa2vp": "sa2vp",
    "make_vpt": "vpt",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
