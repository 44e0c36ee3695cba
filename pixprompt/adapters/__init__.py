"""Adapters: what is fitted and evaluated."""

from ..registry import Registry
from .bar import BarPrompter
from .baselines import BASELINES, make_baseline
from .coordinator import Coordinator, CoordinatorSpec
from .pixel import SPACES, PixelPrompt
from .sa2vp import SA2VP, SA2VP_PRESETS, make_sa2vp
from .search import InBasis, Prompter
from .vpt import ViTVPT, make_vpt
from .whitebox import Supervised, WhiteBox

__all__ = [
    "BASELINES",
    "METHODS",
    "SA2VP_PRESETS",
    "SPACES",
    "BarPrompter",
    "Coordinator",
    "CoordinatorSpec",
    "InBasis",
    "PixelPrompt",
    "Prompter",
    "Supervised",
    "WhiteBox",
    "make_baseline",
    "make_sa2vp",
    "make_vpt",
]

METHODS: Registry[type] = Registry("method")
METHODS.register("pixel", "one pixel prompt for every image, saved as a PNG")(PixelPrompt)
METHODS.register("bar", "BAR: an opaque frame around the shrunk image, learned from answers (arXiv 2007.08714)")(
    BarPrompter
)
METHODS.register("blackvip", "BlackVIP: a prompt for each image, learned from answers (arXiv 2303.14773)")(Coordinator)
METHODS.register("none", "no prompt: the output transform alone, fitted on answers")(object)
METHODS.register("vpt-shallow", "VPT: learned tokens at the first layer of a transformer (arXiv 2203.12119)")(ViTVPT)
METHODS.register("vpt-deep", "VPT: learned tokens at every layer of a transformer (arXiv 2203.12119)")(ViTVPT)
METHODS.register("sa2vp-shallow", "SA²VP: one map of prompts beside the image (arXiv 2312.10376)")(SA2VP)
METHODS.register("sa2vp-deep", "SA²VP: maps of prompts beside the image at three depths (arXiv 2312.10376)")(SA2VP)
for _name, _line in BASELINES.describe().items():
    METHODS.register(_name, _line)(BASELINES[_name])
