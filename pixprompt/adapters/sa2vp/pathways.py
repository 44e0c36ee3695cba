"""What SA²VP is on every backbone: two pathways, one head for both, and the share of each in the loss."""

from __future__ import annotations

from abc import abstractmethod
from typing import cast

from torch import Generator, Tensor

from ...models import TorchModel
from ..heads import ClassifierHead
from ..whitebox import Parts, Supervised
from .options import SA2VPOptions
from .states import TwoPathway

__all__ = ["SA2VP"]


class SA2VP(TwoPathway):
    """An image pathway, which answers, and a prompt pathway beside it, both through the same frozen layers.

    Args:
        options: See `SA2VPOptions`.

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

    def tuned(self, parts: Parts, *, generator: Generator | None = None) -> Tensor:
        """Runs both pathways, and the head on the image's -> logits (N, K)."""
        return cast(Tensor, self.head(*self.features(parts, both=False, generator=generator)))

    def supervised(self, parts: Parts, *, generator: Generator | None = None) -> Supervised:
        """Returns the logits of both pathways with lambda and 1 - lambda, equation 6."""
        share = self.options.balance
        found = self.features(parts, both=share < 1, generator=generator)
        return tuple((part, self.head(features)) for part, features in zip((share, 1 - share), found, strict=False))
