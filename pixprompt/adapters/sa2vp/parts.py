"""What SA²VP learns, whatever the backbone: maps of prompts, their scaling, and prompt adapters."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ..heads import drop, normal
from .options import SA2VPOptions

__all__ = ["PromptAdapter", "PromptMap", "Scaling", "make_prompt_adapter"]

_DEVIATION = 0.02
_EPS = 1e-6


class PromptMap(nn.Module):
    """T tokens of width D, as a product of (T, r) parameters and a linear layer r -> D, or as they are.

    The parameters start as N(0, 0.02^2), cut at two of its units; the linear layer as Xavier's uniform, its bias as 0.

    Args:
        num_tokens: T.
        width: D.
        rank: r; 0 for a map of full rank, without a linear layer.

    Reference: arXiv 2312.10376, section 3 (spatial-structure-preserved prompt map).
    """

    def __init__(self, num_tokens: int, width: int, *, rank: int, generator: Generator) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.empty(1, num_tokens, rank or width))
        nn.init.trunc_normal_(self.tokens, std=_DEVIATION, a=-2 * _DEVIATION, b=2 * _DEVIATION, generator=generator)
        self.projection: nn.Module = nn.Identity()
        if rank:
            self.projection = normal(rank, width, 0.0, generator=generator)
            nn.init.xavier_uniform_(self.projection.weight, generator=generator)

    def forward(self) -> Tensor:
        """Returns the map, (1, T, D)."""
        tokens: Tensor = self.projection(self.tokens)
        return tokens


class Scaling(nn.Module):
    """One learned factor per channel, which start as N(0, 0.02^2).

    Args:
        width: D.

    Reference: arXiv 2312.10376, equation 5.
    """

    def __init__(self, width: int, *, generator: Generator) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.randn(width, generator=generator) * _DEVIATION)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (..., D) -> (..., D)."""
        return tokens * self.factors


class PromptAdapter(nn.Module):
    """Tokens (..., D) -> what one pathway adds to the other: norm, D -> t, activation, t -> D, no residual.

    The first linear layer starts as Xavier's uniform, as in the public code, to which the published learning rates
    belong. (N(0, 2 / t) by fan-out, larger by a factor of 3.6 at D = 192 and t = 16, tested 1.0 points lower on the
    mean of two seeds and three learning rates on ViT-Ti, and lower in five of these six pairs;
    experiments/sa2vp-start.) The second one starts at 0, so that training starts from the frozen backbone.

    Args:
        width: D.
        options: `bottleneck` (t), `activation` and `dropout` are read.

    Reference: arXiv 2312.10376, equation 3.
    """

    def __init__(self, width: int, options: SA2VPOptions, *, generator: Generator) -> None:
        super().__init__()
        self.activation, self.dropout = options.activation, options.dropout
        self.norm = nn.LayerNorm(width, eps=_EPS)
        self.down = normal(width, options.bottleneck, 0.0, generator=generator)
        nn.init.xavier_uniform_(self.down.weight, generator=generator)
        self.up = normal(options.bottleneck, width, 0.0, generator=generator)

    def forward(self, tokens: Tensor, *, generator: Generator | None = None) -> Tensor:
        """Returns (..., D); in training mode the generator draws the dropout."""
        rate = self.dropout if self.training else 0.0
        hidden = self.down(self.norm(tokens))
        hidden = F.gelu(hidden) if self.activation == "gelu" else F.relu(hidden)
        return drop(self.up(drop(hidden, rate, generator=generator)), rate, generator=generator)


class _NoAdapter(nn.Module):
    """The tokens as they are."""

    def forward(self, tokens: Tensor, *, generator: Generator | None = None) -> Tensor:
        return tokens


def make_prompt_adapter(width: int, options: SA2VPOptions, *, generator: Generator) -> nn.Module:
    """Returns a prompt adapter, or without a bottleneck what leaves tokens as they are (the paper's ablation)."""
    return PromptAdapter(width, options, generator=generator) if options.bottleneck else _NoAdapter()
