"""Partial-k: the last k layers, of copies."""

from __future__ import annotations

from typing import Any

from torch import Generator, Tensor, nn

from ...backbones.vit import ViT
from ...core import ConfigError
from ...models import TorchModel
from ..heads import ClassifierHead
from ..whitebox import Parts
from .base import Baseline, at_least_one
from .copies import Copies

__all__ = ["Partial"]


class Partial(Baseline):
    """Learned copies of the last k layers and of the norm after them.

    A layer is one of a vision transformer, or one residual block of a ResNet, ConvNeXt or Swin; what lies between
    two tuned blocks (a Swin's merging, a ConvNeXt's downsampling) is tuned with them. The public code of the paper
    tunes the final norm too. Evaluation mode stays: BatchNorm keeps its running statistics.

    Args:
        layers: k.

    Raises:
        ConfigError: The model has fewer layers, or none that are known.

    Reference: arXiv 2203.12119, section 4.1 (Partial-k).
    """

    caches_frozen = True

    def __init__(self, model: TorchModel, classes: tuple[str, ...], *, layers: int = 1, generator: Generator) -> None:
        super().__init__(model, classes)
        self._vit = _vit_of(model)
        blocks = [layer.module for layer in self._vit.layers] if self._vit else _blocks(self.net.net)
        if not blocks:
            raise ConfigError(
                f"{model.spec.name} is {type(self.net.net).__name__}; partial tunes the last layers of a vision "
                "transformer, or of timm's or torchvision's ResNet, timm's ResNetV2, ConvNeXt or Swin."
            )
        if at_least_one("layers", layers) > len(blocks):
            raise ConfigError(f"{model.spec.name} has {len(blocks)} layers, got {layers}; choose 1..{len(blocks)}.")
        self.num_before = len(blocks) - layers
        self.copies = nn.ModuleList(self._copies(blocks[self.num_before :]))
        self.head = ClassifierHead(self.net.width(), len(classes), generator=generator)

    def _copies(self, blocks: list[nn.Module]) -> list[Copies]:
        if self._vit:
            return [Copies(module, dict(module.named_parameters())) for module in [*blocks, self._vit.norm]]
        # These nets register their modules in the order in which they run.
        weights = self.net.weights()
        tuned = {id(value) for value in blocks[0].parameters()}
        first = next(place for place, value in enumerate(weights.values()) if id(value) in tuned)
        return [Copies(self.net, dict(list(weights.items())[first:]))]

    def before(self, images: Tensor) -> Parts:
        """Returns the tokens before the first tuned layer of a vision transformer; of another net, the images."""
        if not self._vit:
            return (images,)
        tokens = self._vit.embed(images)
        for layer in self._vit.layers[: self.num_before]:
            tokens = layer(tokens)
        return (tokens,)

    def features(self, parts: Parts) -> Tensor:
        """See `Baseline`."""
        (values,) = parts
        *layers, last = self.copies
        for layer in layers:
            values = layer(values)
        return last(values[:, 0] if self._vit else values)  # type: ignore[no-any-return]


def _vit_of(model: TorchModel) -> ViT | None:
    try:
        return ViT(model)
    except ConfigError:
        return None


def _blocks(net: Any) -> list[nn.Module]:
    """Returns the residual blocks of a net of a known family, from the bottom; of another, none."""
    from timm.models import convnext, resnet, resnetv2, swin_transformer
    from torchvision import models

    stages: list[Any] = []
    if isinstance(net, resnet.ResNet | models.ResNet):
        stages = [net.layer1, net.layer2, net.layer3, net.layer4]
    elif isinstance(net, convnext.ConvNeXt | resnetv2.ResNetV2):
        stages = [stage.blocks for stage in net.stages]
    elif isinstance(net, swin_transformer.SwinTransformer):
        stages = [stage.blocks for stage in net.layers]
    return [block for stage in stages for block in stage]
