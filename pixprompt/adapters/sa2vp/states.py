"""What two pathways hold at each layer at which one asks the other."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from ..whitebox import WhiteBox

__all__ = ["States", "TwoPathway"]

Grid = tuple[int, int]
"""Tokens (down, across)."""


@dataclass(frozen=True)
class States:
    """Tokens as they meet at each layer of interaction, one entry per layer.

    Attributes:
        images: Patch tokens of the image pathway, (N, h w, D).
        prompts: Patch tokens of the prompt pathway, (1 or N, h' w', D).
        grids: (image grid, prompt grid).
        layers: Numbers of the layers, from 0.
    """

    images: tuple[Tensor, ...]
    prompts: tuple[Tensor, ...]
    grids: tuple[tuple[Grid, Grid], ...]
    layers: tuple[int, ...]


class TwoPathway(WhiteBox):
    """An adapter with a map of prompts beside the image."""

    @abstractmethod
    def states(self, images: Tensor) -> States:
        """Images (N, 3, H, W) in [0, 1] -> what both pathways hold."""
