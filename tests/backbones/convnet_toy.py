"""Small ConvNets of both libraries, with weights from a fixed generator."""

from __future__ import annotations

import torch
from timm.models.convnext import ConvNeXt
from timm.models.resnet import BasicBlock, ResNet
from torch import nn
from torchvision.models import ConvNeXt as VisionConvNeXt, ResNet as VisionResNet
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.resnet import BasicBlock as VisionBlock

from pixprompt.core import ModelSpec
from pixprompt.models import TorchModel

from .swin_toy import scatter

NETS = ("timm-resnet", "timm-deep-resnet", "timm-convnext", "torchvision-resnet", "torchvision-convnext")
SIZE = (32, 36)


def net_of(name: str) -> nn.Module:
    if name.startswith("timm") and name.endswith("resnet"):
        stem = {"stem_type": "deep", "stem_width": 8} if "deep" in name else {}
        return ResNet(BasicBlock, (1, 1, 1, 1), num_classes=5, channels=(8, 8, 16, 24), **stem)
    if name == "timm-convnext":
        return ConvNeXt(num_classes=5, depths=(1, 1, 1, 1), dims=(8, 8, 16, 24))
    if name == "torchvision-resnet":
        return VisionResNet(VisionBlock, [1, 1, 1, 1], num_classes=5)
    return VisionConvNeXt([CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)], num_classes=5)


def convnet(name: str = NETS[0], *, owned: bool = True) -> TorchModel:
    net = scatter(net_of(name))
    return TorchModel(net, ModelSpec("toy-convnet", SIZE, 5), mean=(0.4,) * 3, std=(0.2,) * 3, owned=owned)


def pictures(count: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(seed))
