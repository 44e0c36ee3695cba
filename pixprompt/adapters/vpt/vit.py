"""VPT on a vision transformer."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Generator, Tensor

from ...backbones import ViT
from ...models import TorchModel
from ..heads import ClassifierHead
from ..whitebox import Parts, WhiteBox
from .locations import Location, make_location
from .options import VPTOptions

__all__ = ["ViTVPT"]


class ViTVPT(WhiteBox):
    """Visual prompt tuning of a ViT.

    Args:
        options: Where the prompts are, and how many.

    Raises:
        ConfigError: The model is no vision transformer, or the options do not fit it.

    Reference: arXiv 2203.12119, equations 4 to 8 and section 4.3.
    """

    view: ViT

    def __init__(
        self, model: TorchModel, classes: tuple[str, ...], options: VPTOptions, *, generator: Generator
    ) -> None:
        super().__init__(model, classes)
        self.view, self.options = ViT(model), options
        self.prompts = self.located(generator)
        self.head = ClassifierHead(self.view.width, len(classes), generator=generator)
        # Without prompts everything is frozen but the head.
        self.caches_frozen = options.tokens == 0 or (options.depth_from == "top" and options.depth < self.view.depth)

    def located(self, generator: Generator) -> Location:
        """Makes the prompts."""
        return make_location(self.view, self.options, generator=generator)

    def before(self, images: Tensor) -> Parts:
        """Returns the tokens at the entry of the first prompted layer, (N, T, D)."""
        return (self.prompts.before(images),)

    def tuned(self, parts: Parts, *, generator: Generator | None = None) -> Tensor:
        """Runs the prompted layers and those behind them, and the head -> logits (N, K)."""
        with self.model.held():
            tokens = self.prompts(parts[0], generator=generator)
            features = cast(Tensor, self.view.norm(self._pooled(tokens))).mean(1)
        return cast(Tensor, self.head(features, generator=generator))

    def _pooled(self, tokens: Tensor) -> Tensor:
        """Final tokens (N, R, D) -> those whose mean is the feature, (N, r, D)."""
        pool, patches = self.options.pool, math.prod(self.view.grid)
        if pool == "cls":
            return tokens[:, :1]
        if pool == "image":
            return tokens[:, -patches:]
        prompts = tokens[:, 1 : 1 + (self.options.tokens or 0)]
        return prompts if pool == "prompt" else torch.cat([prompts, tokens[:, -patches:]], 1)
