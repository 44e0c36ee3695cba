"""Adapters: what is fitted and evaluated. `METHODS` costs no import of torch; the other names import it when used."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names
from .methods import METHODS, Grid, Learning, Method, MethodSettings, register

if TYPE_CHECKING:
    from .bar import BarPrompter
    from .baselines import BASELINES, make_baseline
    from .coordinator import Coordinator, CoordinatorSpec
    from .pixel import PixelPrompt
    from .sa2vp import SA2VP, make_sa2vp
    from .saving import load_adapter, make_white_box
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
    "load_adapter",
    "make_baseline",
    "make_sa2vp",
    "make_vpt",
    "make_white_box",
    "register",
]

__getattr__ = lazy_names(
    __name__,
    {
        "bar": "BarPrompter",
        "baselines": "BASELINES make_baseline",
        "coordinator": "Coordinator CoordinatorSpec",
        "pixel": "PixelPrompt",
        "sa2vp": "SA2VP make_sa2vp",
        "saving": "load_adapter make_white_box",
        "search": "InBasis Prompter",
        "vpt": "ViTVPT make_vpt",
        "whitebox": "Supervised WhiteBox",
    },
)
