"""A frozen ConvNet, seen from inside: the first convolution, and the rest up to the classifier."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..core import ConfigError
from ..models import TorchModel, frozen

__all__ = ["ConvNet"]


class ConvNet:
    """A view of a model's ConvNet; holds no copies.

    Args:
        model: A ResNet or a ConvNeXt, timm's or torchvision's.

    Attributes:
        model: As given.
        net: The network module.
        first: The first convolution.
        width: Of the features, D.

    Raises:
        ConfigError: The model is something else.
    """

    def __init__(self, model: TorchModel) -> None:
        opened = _open(model.net)
        if opened is None or not isinstance(opened.first, nn.Conv2d):
            raise ConfigError(
                f"{model.spec.name} is {type(model.net).__name__}; expected a ResNet or a ConvNeXt of timm or "
                "torchvision that begins with a convolution. Choose another model or another method."
            )
        self.model, self.net = model, model.net
        self.first, self.width = opened.first, opened.width
        self._rest, self._classifier = opened.rest, opened.classifier

    def held(self) -> AbstractContextManager[object]:
        """Holds the net of a caller in evaluation mode and frozen, within; a net that is frozen for good needs nothing.

        All calls of this view's parts belong inside.
        """
        return nullcontext() if self.model.owned else frozen(self.model.net)

    def parameters(self) -> list[nn.Parameter]:
        """Returns the frozen parameters without those of the model's own classifier."""
        final = {id(parameter) for parameter in self._classifier.parameters()}
        return [parameter for parameter in self.net.parameters() if id(parameter) not in final]

    def normalize(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1], of any H and W -> what `first` takes."""
        normalized = self.model.normalize(images)
        # As `TorchModel` does it: the convolutions of its own nets work on channels-last memory.
        return normalized.contiguous(memory_format=torch.channels_last) if self.model.owned else normalized

    def rest(self, maps: Tensor) -> Tensor:
        """Results of `first` (N, C, h, w) -> what the model's own classifier sees, (N, D)."""
        return self._rest(maps)

    def features(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1], of any H and W -> what the model's own classifier sees, (N, D)."""
        return self.rest(self.first(self.normalize(images)))


@dataclass(frozen=True)
class _Opened:
    """The first convolution, what follows up to the classifier, the classifier, and the width of what it sees."""

    first: nn.Module
    rest: Callable[[Tensor], Tensor]
    classifier: nn.Module
    width: int


def _open(net: Any) -> _Opened | None:
    # By the name of its module, so that no library is loaded that the model does not come from.
    libraries = {origin.__module__.partition(".")[0] for origin in type(net).__mro__}
    if "timm" in libraries:
        from timm.models.convnext import ConvNeXt
        from timm.models.resnet import ResNet

        openers: dict[type, Callable[[Any], _Opened]] = {ResNet: _timm_resnet, ConvNeXt: _timm_convnext}
    elif "torchvision" in libraries:
        from torchvision import models

        openers = {models.ResNet: _vision_resnet, models.ConvNeXt: _vision_convnext}
    else:
        return None
    return next((opener(net) for kind, opener in openers.items() if isinstance(net, kind)), None)


def _timm_resnet(net: Any) -> _Opened:
    # A deep stem is a sequence of convolutions.
    stem = list(net.conv1) if isinstance(net.conv1, nn.Sequential) else [net.conv1]

    def rest(maps: Tensor) -> Tensor:
        maps = _stages(net, net.maxpool(net.act1(net.bn1(_behind(stem, maps)))))
        return cast(Tensor, net.forward_head(maps, pre_logits=True))

    return _Opened(stem[0], rest, net.get_classifier(), net.head_hidden_size)


def _vision_resnet(net: Any) -> _Opened:
    def rest(maps: Tensor) -> Tensor:
        maps = _stages(net, net.maxpool(net.relu(net.bn1(maps))))
        return cast(Tensor, net.avgpool(maps)).flatten(1)

    return _Opened(net.conv1, rest, net.fc, net.fc.in_features)


def _stages(net: Any, maps: Tensor) -> Tensor:
    return cast(Tensor, net.layer4(net.layer3(net.layer2(net.layer1(maps)))))


def _behind(modules: Iterable[nn.Module], maps: Tensor) -> Tensor:
    """Runs all modules but the first."""
    for module in list(modules)[1:]:
        maps = module(maps)
    return maps


def _timm_convnext(net: Any) -> _Opened:
    def rest(maps: Tensor) -> Tensor:
        maps = net.norm_pre(net.stages(_behind(net.stem, maps)))
        return cast(Tensor, net.forward_head(maps, pre_logits=True))

    return _Opened(net.stem[0], rest, net.get_classifier(), net.head_hidden_size)


def _vision_convnext(net: Any) -> _Opened:
    def rest(maps: Tensor) -> Tensor:
        maps = _behind(net.features, _behind(net.features[0], maps))
        return cast(Tensor, net.classifier[:-1](net.avgpool(maps)))

    return _Opened(net.features[0][0], rest, net.classifier[-1], net.classifier[-1].in_features)
