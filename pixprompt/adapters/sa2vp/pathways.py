"""What SA²VP is on every backbone: two pathways, one head for both, and the share of each in the loss."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import cast

from torch import Generator, Tensor

from ...models import TorchModel
from ..heads import ClassifierHead
from ..whitebox import Parts, Supervised, WhiteBox
from .options import SA2VPOptions

__all__ = ["SA2VP", "States"]

Grid = tuple[int, int]
"""Tokens (down, across)."""


@dataclass(frozen=True)
class States:
    """Tokens at each layer at which one pathway queries the other, one entry per layer.

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


class SA2VP(WhiteBox):
    """An image pathway, which answers, and a prompt pathway beside it, both through the same frozen layers.

    Reference: arXiv 2312.10376, section 3.
    """

    head: ClassifierHead

    def __init__(self, model: TorchModel, classes: tuple[str, ...], options: SA2VPOptions) -> None:
        super().__init__(model, classes)
        self.options = options

    @property
    def dropout(self) -> float:
        """The share that is dropped now."""
        return self.options.dropout if self.training else 0.0

    @abstractmethod
    def features(self, parts: Parts, *, both: bool, generator: Generator | None = None) -> tuple[Tensor, ...]:
        """Results of `frozen` -> features (N, D) of the image pathway and, with `both`, of the prompt pathway."""

    @abstractmethod
    def states(self, images: Tensor) -> States:
        """Images (N, 3, H, W) in [0, 1] -> the tokens of both pathways."""

    def tuned(self, parts: Parts, *, generator: Generator | None = None) -> Tensor:
        """Runs both pathways, and the head on the image's -> logits (N, K)."""
        return cast(Tensor, self.head(*self.features(parts, both=False, generator=generator)))

    def supervised(self, parts: Parts, *, generator: Generator | None = None) -> Supervised:
        """Returns the logits of both pathways with lambda and 1 - lambda, equation 6."""
        balance = self.options.balance
        pathways = self.features(parts, both=balance < 1, generator=generator)
        shares = (balance, 1 - balance)
        return tuple((share, self.head(features)) for share, features in zip(shares, pathways, strict=False))
