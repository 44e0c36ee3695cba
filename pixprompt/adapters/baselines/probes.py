"""Probing: a classifier on frozen features, each image of which needs the backbone once."""

from __future__ import annotations

from torch import Generator, Tensor

from ...models import TorchModel
from ..heads import ClassifierHead
from ..whitebox import Parts
from .base import Baseline, at_least_one

__all__ = ["LinearProbe", "MLPProbe"]


class _Probe(Baseline):
    caches_frozen = True

    def __init__(self, model: TorchModel, classes: tuple[str, ...], num_hidden: int, generator: Generator) -> None:
        super().__init__(model, classes)
        self.head = ClassifierHead(self.net.width(), len(classes), num_hidden=num_hidden, generator=generator)

    def before(self, images: Tensor) -> Parts:
        """Returns the features."""
        return (self.net(images),)

    def features(self, parts: Parts) -> Tensor:
        """Returns them as they are."""
        return parts[0]


class LinearProbe(_Probe):
    """A linear classifier on the features of any model.

    Reference: arXiv 2203.12119, section 4.1 (Linear).
    """

    def __init__(self, model: TorchModel, classes: tuple[str, ...], *, generator: Generator) -> None:
        super().__init__(model, classes, 0, generator)


class MLPProbe(_Probe):
    """A classifier with k hidden layers on the features of any model.

    Args:
        layers: k.

    Raises:
        ConfigError: k < 1.

    Reference: arXiv 2203.12119, section 4.1 (MLP-k).
    """

    def __init__(self, model: TorchModel, classes: tuple[str, ...], *, layers: int = 3, generator: Generator) -> None:
        super().__init__(model, classes, at_least_one("layers", layers), generator)
