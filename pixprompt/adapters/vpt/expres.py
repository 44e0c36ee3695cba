"""EXPRES: output tokens, which the head reads, with residual prompts added to them inside every layer."""

from __future__ import annotations

from typing import cast

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from ...backbones import Layer, ViT
from ...core import ConfigError
from ...models import TorchModel
from ..heads import ClassifierHead, drop
from ..whitebox import Parts, WhiteBox
from .prompts import prompt_bound, uniform

__all__ = ["EXPRES"]


class EXPRES(WhiteBox):
    """Learned tokens beside CLS and patches at the first layer, whose outputs are averaged for the head.

    In every layer a residual prompt of each token is added to its norm before attention, to its query, key and value,
    and to the projection of what attention gives to it: 5 D learned values for each token and layer. The residuals
    start at 0, so that training starts as VPT-shallow with its prompts pooled. (How the public text starts them, and
    whether the norm before the MLP counts, is not known here.)

    Args:
        tokens: p.
        dropout: Share of the tokens' first values that is dropped in training.

    Raises:
        ConfigError: The model is no vision transformer, or there are no tokens.

    Reference: arXiv 2303.15591.
    """

    view: ViT

    def __init__(
        self,
        model: TorchModel,
        classes: tuple[str, ...],
        *,
        tokens: int = 10,
        dropout: float = 0.0,
        generator: Generator,
    ) -> None:
        super().__init__(model, classes)
        self.view = ViT(model)
        if tokens < 1:
            raise ConfigError(f"the head reads 1 or more output tokens, got {tokens}.")
        width, self.dropout = self.view.width, dropout
        self.tokens = uniform(tokens, width, bound=prompt_bound(self.view.patch_size, width), generator=generator)
        self.residuals = nn.Parameter(torch.zeros(self.view.depth, tokens, 5 * width))
        self.head = ClassifierHead(width, len(classes), generator=generator)

    def before(self, images: Tensor) -> Parts:
        """Returns the tokens before the first layer."""
        return (self.view.embed(images),)

    def tuned(self, parts: Parts, *, generator: Generator | None = None) -> Tensor:
        """Runs the layers and the head -> logits (N, K)."""
        (images,) = parts
        own = drop(self.tokens.expand(len(images), -1, -1), self.dropout if self.training else 0.0, generator=generator)
        tokens, count, last = torch.cat([own, images], 1), len(self.tokens), self.view.depth - 1
        with self.model.held():
            for number, (layer, residuals) in enumerate(zip(self.view.layers, self.residuals, strict=True)):
                tokens = _step(layer, tokens, residuals, rows=count if number == last else None)
            features = cast(Tensor, self.view.norm(tokens)).mean(1)
        return cast(Tensor, self.head(features, generator=generator))


def _step(layer: Layer, tokens: Tensor, residuals: Tensor, rows: int | None) -> Tensor:
    """Runs a layer, the residuals (p, 5 D) added to its first p tokens; returns the results of the first `rows`."""
    width = tokens.shape[2]
    norm, qkv, projection = residuals[:, :width], residuals[:, width : 4 * width], residuals[:, 4 * width :]
    normed = _plus(layer.norm1(tokens), norm)
    queries, keys, values = layer.split(_plus(layer.qkv(normed), qkv))
    mixed = layer.join(scaled_dot_product_attention(queries[:, :, :rows], keys, values))
    tokens = tokens[:, :rows] + layer.scale1(_plus(mixed, projection))
    return tokens + layer.scale2(layer.mlp(layer.norm2(tokens)))  # type: ignore[no-any-return]


def _plus(values: Tensor, residual: Tensor) -> Tensor:
    return torch.cat([values[:, : len(residual)] + residual, values[:, len(residual) :]], 1)
