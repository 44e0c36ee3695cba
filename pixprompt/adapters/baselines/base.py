"""What the baselines share: features and one classifier head; or one learned part in each layer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from torch import Generator, Tensor, nn

from ...backbones.features import FeatureNet
from ...backbones.vit import Layer, ViT
from ...core import ConfigError
from ...models import TorchModel
from ..heads import ClassifierHead
from ..whitebox import Parts, WhiteBox

__all__ = ["Baseline", "LayerPart", "LayerWise", "at_least_one"]


class Baseline(WhiteBox):
    """Features (N, D) that a method makes of images, and a classifier head on them.

    The backbone stays in evaluation mode: no dropout, and BatchNorm keeps the statistics it came with.
    """

    head: ClassifierHead

    def __init__(self, model: TorchModel, classes: tuple[str, ...]) -> None:
        super().__init__(model, classes)
        # In a tuple, so that the backbone's parameters are none of this adapter's.
        self._net = (FeatureNet(model),)

    @property
    def net(self) -> FeatureNet:
        """The frozen model up to its features."""
        return self._net[0]

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Returns the parameters on the way to the features."""
        return list(self.net.weights().values())

    def tuned(self, parts: Parts, *, generator: Generator | None = None) -> Tensor:
        """See `WhiteBox`."""
        with self.model.held():
            features = self.features(parts)
        return self.head(features, generator=generator)  # type: ignore[no-any-return]

    def before(self, images: Tensor) -> Parts:
        """Returns the images."""
        return (images,)

    @abstractmethod
    def features(self, parts: Parts) -> Tensor:
        """Runs the rest up to the head: (N, D)."""


class LayerPart(nn.Module):
    """What is learned in one layer, and how that layer then runs."""

    @abstractmethod
    def forward(self, layer: Layer, tokens: Tensor) -> Tensor:
        """Tokens (N, T, D) -> (N, T, D)."""


class LayerWise(Baseline):
    """A vision transformer with one learned part in each layer; the features are CLS after the final norm.

    Args:
        part: Makes the learned part of one layer from D; called for each layer from the bottom.

    Raises:
        ConfigError: The model is no vision transformer that can be opened.
    """

    def __init__(
        self,
        model: TorchModel,
        classes: tuple[str, ...],
        part: Callable[[int], LayerPart],
        *,
        generator: Generator,
    ) -> None:
        super().__init__(model, classes)
        self._vit = (ViT(model),)
        width = self.vit.width
        self.parts = nn.ModuleList(part(width) for _ in self.vit.layers)
        self.head = ClassifierHead(width, len(classes), generator=generator)

    @property
    def vit(self) -> ViT:
        """The frozen vision transformer, opened."""
        return self._vit[0]

    def before(self, images: Tensor) -> Parts:
        """Returns the tokens before the first layer."""
        return (self.vit.embed(images),)

    def features(self, parts: Parts) -> Tensor:
        """See `Baseline`."""
        (tokens,) = parts
        for layer, part in zip(self.vit.layers, self.parts, strict=True):
            tokens = part(layer, tokens)
        return self.vit.norm(tokens[:, 0])  # type: ignore[no-any-return]


def at_least_one(name: str, value: int) -> int:
    """Returns the value of an option that counts something.

    Raises:
        ConfigError: It is below 1.
    """
    if value < 1:
        raise ConfigError(f"{name} must be at least 1, got {value}.")
    return value
