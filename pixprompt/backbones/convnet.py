"""A frozen ConvNet in parts: the first convolution, the rest of the stem, stages of blocks, the pool."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Self, cast

from torch import Tensor, nn

from ..core import ConfigError
from ..models import TorchModel
from .origin import comes_from

__all__ = ["ConvNet", "ConvStage"]


@dataclass(frozen=True)
class ConvStage:
    """Blocks (N, C, h, w) -> (N, C', h', w') of one stage.

    Attributes:
        blocks: From the bottom to the top. The first one of a ResNet's stage changes size and width by itself.
        merge: What changes them in front of the blocks, as in a ConvNeXt; None where nothing does.
    """

    blocks: Sequence[nn.Module]
    merge: nn.Module | None = None

    def enter(self, maps: Tensor) -> Tensor:
        """Leads maps of the stage below to the first block."""
        return maps if self.merge is None else cast(Tensor, self.merge(maps))

    def __call__(self, maps: Tensor) -> Tensor:
        """Runs the whole stage."""
        return _run_all(self.blocks, self.enter(maps))


class ConvNet:
    """A view of a model's ConvNet; holds no copies.

    Args:
        model: A ResNet or a ConvNeXt, timm's or torchvision's.

    Attributes:
        net: The network module.
        first: The first convolution, of what `TorchModel.prepare` makes of images.
        stages: From the bottom to the top.
        width: Of the features, D.

    Raises:
        ConfigError: The model is something else.
    """

    def __init__(self, model: TorchModel) -> None:
        parts = _parts_of(model.net)
        if parts is None or not isinstance(parts.first, nn.Conv2d):
            raise ConfigError(
                f"{model.spec.name} is {type(model.net).__name__}; expected a ResNet or a ConvNeXt of timm or "
                "torchvision that begins with a convolution. Choose another model or another method."
            )
        self.model, self.net = model, model.net
        self.first, self.stages, self.width = parts.first, parts.stages, parts.width
        self._stem, self._pool, self._classifier = parts.stem, parts.pool, parts.classifier

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)(copy.deepcopy(self.model, memo))

    def parameters(self) -> list[nn.Parameter]:
        """Returns the frozen parameters without those of the model's own classifier."""
        final = {id(parameter) for parameter in self._classifier.parameters()}
        return [parameter for parameter in self.net.parameters() if id(parameter) not in final]

    def embed(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1], of any H and W -> maps (N, C, h, w) in front of the first stage."""
        return _run_all(self._stem, self.first(self.model.prepare(images)))

    def pool(self, maps: Tensor) -> Tensor:
        """Maps behind the last stage (N, C, h, w) -> what the model's own classifier sees, (N, D)."""
        return self._pool(maps)

    def rest(self, maps: Tensor) -> Tensor:
        """Results of `first` (N, C, h, w) -> what the model's own classifier sees, (N, D)."""
        return self.pool(_run_all(chain(self._stem, self.stages), maps))

    def features(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1], of any H and W -> what the model's own classifier sees, (N, D)."""
        return self.rest(self.first(self.model.prepare(images)))


@dataclass(frozen=True)
class _Parts:
    """The first convolution, the rest of the stem, stages, pool, classifier, and the width of what that sees."""

    first: nn.Module
    stem: Sequence[nn.Module]
    stages: Sequence[ConvStage]
    pool: Callable[[Tensor], Tensor]
    classifier: nn.Module
    width: int


def _parts_of(net: Any) -> _Parts | None:
    if comes_from(net, "timm"):
        from timm.models.convnext import ConvNeXt
        from timm.models.resnet import ResNet

        readers: dict[type, Callable[[Any], _Parts]] = {ResNet: _timm_resnet, ConvNeXt: _timm_convnext}
    elif comes_from(net, "torchvision"):
        from torchvision import models

        readers = {models.ResNet: _vision_resnet, models.ConvNeXt: _vision_convnext}
    else:
        return None
    return next((reader(net) for kind, reader in readers.items() if isinstance(net, kind)), None)


def _timm_resnet(net: Any) -> _Parts:
    # A deep stem is a sequence of convolutions.
    first, *others = net.conv1 if isinstance(net.conv1, nn.Sequential) else [net.conv1]

    def pool(maps: Tensor) -> Tensor:
        return cast(Tensor, net.forward_head(maps, pre_logits=True))

    stem = [*others, net.bn1, net.act1, net.maxpool]
    return _Parts(first, stem, _resnet_stages(net), pool, net.get_classifier(), net.head_hidden_size)


def _vision_resnet(net: Any) -> _Parts:
    def pool(maps: Tensor) -> Tensor:
        return cast(Tensor, net.avgpool(maps)).flatten(1)

    stem = [net.bn1, net.relu, net.maxpool]
    return _Parts(net.conv1, stem, _resnet_stages(net), pool, net.fc, net.fc.in_features)


def _resnet_stages(net: Any) -> list[ConvStage]:
    return [ConvStage(list(stage)) for stage in (net.layer1, net.layer2, net.layer3, net.layer4)]


def _timm_convnext(net: Any) -> _Parts:
    def pool(maps: Tensor) -> Tensor:
        return cast(Tensor, net.forward_head(net.norm_pre(maps), pre_logits=True))

    first, *stem = net.stem
    stages = [ConvStage(list(stage.blocks), stage.downsample) for stage in net.stages]
    return _Parts(first, stem, stages, pool, net.get_classifier(), net.head_hidden_size)


def _vision_convnext(net: Any) -> _Parts:
    def pool(maps: Tensor) -> Tensor:
        return cast(Tensor, net.classifier[:-1](net.avgpool(maps)))

    # The stem and the stages, and between two stages what leads to the upper one.
    (first, *stem), *parts = net.features
    merges = [None, *parts[1::2]]
    stages = [ConvStage(list(blocks), merge) for blocks, merge in zip(parts[::2], merges, strict=True)]
    return _Parts(first, stem, stages, pool, net.classifier[-1], net.classifier[-1].in_features)


def _run_all(steps: Iterable[Callable[[Tensor], Tensor]], maps: Tensor) -> Tensor:
    for step in steps:
        maps = step(maps)
    return maps
