"""Swin transformers that take milliseconds, with weights far enough from zero that every part of them matters."""

from __future__ import annotations

import torch
from timm.models.swin_transformer import SwinTransformer
from torch import nn

from pixprompt.core import ModelSpec
from pixprompt.models import TorchModel

CLASSES = ("a", "b", "c")
ONE, ODD, MANY = (56, 7), (56, 4), (64, 4)
"""(image, window): one window in the last stage; windows filled up at the edges; 16 windows, then 4, all shifted."""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scatter(net: nn.Module, seed: int = 0) -> nn.Module:
    """Draws all weights again: norms around 1, matrices so that they keep the scale, biases around 0."""
    generator = seeded(seed)
    with torch.no_grad():
        for name, value in net.named_parameters():
            scale = 0.2 if value.dim() == 1 else value[0].numel() ** -0.5
            center = 1.0 if value.dim() == 1 and name.endswith("weight") else 0.0
            value.copy_(center + scale * torch.randn(value.shape, generator=generator))
    return net


def swin(size: tuple[int, int] = ONE, *, owned: bool = True, **options: object) -> TorchModel:
    image, window = size
    expected = {"embed_dim": 24, "depths": (2, 2), "num_heads": (2, 4), "num_classes": 5} | options
    net = scatter(SwinTransformer(img_size=image, window_size=window, drop_path_rate=0.5, **expected))
    return TorchModel(net, ModelSpec("toy-swin", (image, image), 5), mean=(0.5,) * 3, std=(0.2,) * 3, owned=owned)


def pictures(count: int, image: int = 56, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, image, image, generator=seeded(seed))
