"""What adapters that reach into a model share: a frozen part, a tuned part, and their counts."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Generator, Tensor, nn

from ..core import Access, OutputTransform
from ..models import TorchModel
from ..outputs import Direct

__all__ = ["Parts", "Supervised", "WhiteBox"]

Parts = tuple[Tensor, ...]
"""Tensors whose first dimension is N."""
Supervised = tuple[tuple[float, Tensor], ...]
"""Target logits (N, K) with their shares of the loss."""


class WhiteBox(nn.Module, ABC):
    """Images (N, 3, H, W) in [0, 1] -> target logits (N, K), through a backbone that stays as it is.

    Only what is learned is a parameter, a buffer or a submodule of an adapter; the backbone is held beside them.
    `frozen` is everything before the first learned number, so its results may be kept between epochs; `tuned` is the
    rest. Randomness (dropout) is drawn from the generator that `tuned` is given, in training mode only.

    Args:
        model: The frozen model.
        classes: K target class names.
    """

    requires = Access.INTERNALS
    keeps: bool = False
    """Whether `frozen` runs so much of the backbone that its results are worth keeping between epochs."""

    def __init__(self, model: TorchModel, classes: tuple[str, ...]) -> None:
        super().__init__()
        # In a tuple, so that the model is no submodule: it belongs to the caller, not to this adapter's state.
        self._model = (model,)
        self.output: OutputTransform = Direct(classes)

    @property
    def model(self) -> TorchModel:
        """The frozen model."""
        return self._model[0]

    @property
    def num_tuned(self) -> int:
        """Learned numbers, the head's included."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def num_backbone(self) -> int:
        """Numbers of the backbone without its classifier, of which `num_tuned` is a share."""
        return sum(parameter.numel() for parameter in self.backbone_parameters())

    @property
    def share(self) -> float:
        """Learned numbers over the backbone's."""
        return self.num_tuned / self.num_backbone

    @abstractmethod
    def backbone_parameters(self) -> list[nn.Parameter]:
        """Returns the frozen parameters that this adapter runs through, without the model's own classifier."""

    @abstractmethod
    def frozen(self, images: Tensor) -> Parts:
        """Runs what comes before the first learned number; images (N, 3, H, W) in [0, 1] themselves if nothing does."""

    @abstractmethod
    def tuned(self, parts: Parts, *, generator: Generator | None = None) -> Tensor:
        """Runs the rest: results of `frozen` -> target logits (N, K)."""

    def supervised(self, parts: Parts, *, generator: Generator | None = None) -> Supervised:
        """Returns the logits that training compares with the labels; the first are those of `tuned`, the answer."""
        return ((1.0, self.tuned(parts, generator=generator)),)

    def outputs(self, images: Tensor, *, generator: Generator | None = None, quantize: bool = True) -> Tensor:
        """Returns target logits (N, K); `quantize` is for pixel prompts and changes nothing here."""
        return self.tuned(self.frozen(images), generator=generator)

    def forward(self, images: Tensor) -> Tensor:
        """Returns target logits (N, K)."""
        return self.outputs(images)

    def constrain(self) -> None:
        """After an optimiser step: nothing to do, the numbers may be any."""
