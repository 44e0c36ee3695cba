"""The learned vectors of VPT: their start, their projection, their dropout."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn

from ..heads import drop_per_image, kaiming

__all__ = ["PromptSets", "prompt_bound", "uniform"]


def prompt_bound(patch_size: tuple[int, int], width: int) -> float:
    """Returns v of the first prompts' uniform(-v, v), sqrt(6 / (3 h w + width)): 0.0625 for ViT-B/16."""
    return math.sqrt(6 / (3 * math.prod(patch_size) + width))


def uniform(*shape: int, bound: float, generator: Generator) -> nn.Parameter:
    """Returns a parameter from uniform(-bound, bound)."""
    return nn.Parameter((2 * torch.rand(shape, generator=generator) - 1) * bound)


class PromptSets(nn.Module):
    """Sets of vectors, one set per prompted layer or one for all.

    Args:
        num_sets: As many as prompted layers, or 1.
        num_tokens: p, in each set.
        width: D.
        patch_size: (height, width) of a patch, for the bound.
        projection: Width of the stored vectors, from which one linear layer leads to D; None for D without one.
        dropout: Share of values that is dropped in training mode.
    """

    def __init__(
        self,
        num_sets: int,
        num_tokens: int,
        width: int,
        *,
        patch_size: tuple[int, int],
        projection: int | None = None,
        dropout: float = 0.0,
        generator: Generator,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        stored = projection or width
        bound = prompt_bound(patch_size, stored)
        self.tokens = uniform(num_sets, num_tokens, stored, bound=bound, generator=generator)
        self.projection = kaiming(projection, width, generator=generator) if projection else nn.Identity()

    def forward(self, index: int, num_images: int, *, generator: Generator | None = None) -> Tensor:
        """Returns the set of a prompted layer, (1, p, D); with dropout one for each image, (N, p, D)."""
        prompts: Tensor = self.projection(self.tokens[index if len(self.tokens) > 1 else 0]).unsqueeze(0)
        rate = self.dropout if self.training else 0.0
        return drop_per_image(prompts, num_images, rate, generator=generator)
