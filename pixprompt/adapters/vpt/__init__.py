"""Visual prompt tuning (arXiv 2203.12119): learned tokens, vectors or pixels around a frozen backbone."""

from .make import make_vpt
from .options import ENDS, LOCATIONS, POOLS, VPTOptions
from .swin_block import LAYOUTS
from .vit import ViTVPT

__all__ = ["ENDS", "LAYOUTS", "LOCATIONS", "POOLS", "VPTOptions", "ViTVPT", "make_vpt"]
