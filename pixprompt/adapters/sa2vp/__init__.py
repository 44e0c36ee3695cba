"""SA²VP (arXiv 2312.10376): a map of prompts beside the image, both through the same frozen layers."""

from .make import make_sa2vp
from .options import ACTIVATIONS, NEW_MAPS, SA2VPOptions
from .pathways import SA2VP, States
from .vit import ViTSA2VP

__all__ = [
    "ACTIVATIONS",
    "NEW_MAPS",
    "SA2VP",
    "SA2VPOptions",
    "States",
    "ViTSA2VP",
    "make_sa2vp",
]
