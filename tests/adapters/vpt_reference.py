"""VPT written down once more, in the plainest way: whole sequences, the library's own layers, nothing saved."""

from __future__ import annotations

import math

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor
from torch.nn import functional as F

from pixprompt.adapters.vpt import ViTVPT, VPTOptions
from pixprompt.models import TorchModel

from ..backbones.vit_toy import CLASSES, PATCHES, seeded, vit


def make(kind: str | TorchModel = "timm", *, seed: int = 0, **options: object) -> ViTVPT:
    """A VPT whose first numbers are large enough to matter."""
    model = vit(kind) if isinstance(kind, str) else kind
    tvpt = ViTVPT(model, CLASSES, VPTOptions(**{"tokens": 3} | options), generator=seeded(seed)).eval()
    with torch.no_grad():
        for name, value in tvpt.named_parameters():
            value.copy_(torch.randn(value.shape, generator=seeded(len(name))) * 0.5)
    return tvpt


def prepended(net: VisionTransformer, images: Tensor, sets: dict[int, Tensor]) -> Tensor:
    """Final normed tokens; `sets` are the prompts (p, D) of the layers that have some."""
    tokens, inserted = net._pos_embed(net.patch_embed(images)), False
    for index, block in enumerate(net.blocks):
        if index in sets:
            prompts = sets[index].expand(len(images), -1, -1)
            rest = tokens[:, 1 + (len(sets[index]) if inserted else 0) :]
            tokens, inserted = torch.cat([tokens[:, :1], prompts, rest], 1), True
        tokens = block(tokens)
    return net.norm(tokens)


def added(net: VisionTransformer, images: Tensor, sets: dict[int, Tensor]) -> Tensor:
    tokens = net._pos_embed(net.patch_embed(images))
    for index, block in enumerate(net.blocks):
        tokens = block(tokens + sets.get(index, torch.zeros(1)))
    return net.norm(tokens)


def with_strip(net: VisionTransformer, images: Tensor, strip: Tensor) -> Tensor:
    """The strip is cut into patches by hand, each through the convolution alone."""
    cut = torch.stack(strip.split(16, dim=2))
    prompts = net.patch_embed.proj(cut).flatten(1)
    return prepended(net, images, {0: prompts})


def with_channels(net: VisionTransformer, images: Tensor, channels: Tensor, kernel: Tensor) -> Tensor:
    """One convolution over image and channels together."""
    weight = torch.cat([net.patch_embed.proj.weight, kernel], 1)
    stacked = torch.cat([images, channels.expand(len(images), -1, -1, -1)], 1)
    patches = F.conv2d(stacked, weight, net.patch_embed.proj.bias, stride=16)
    tokens = net._pos_embed(patches.flatten(2).transpose(1, 2))
    for block in net.blocks:
        tokens = block(tokens)
    return net.norm(tokens)


def pooled(tokens: Tensor, pool: str, num_prompts: int) -> Tensor:
    """CLS first, then prompts, then patches."""
    rows = {
        "cls": slice(0, 1),
        "image": slice(tokens.shape[1] - PATCHES, None),
        "prompt": slice(1, 1 + num_prompts),
        "image-and-prompt": slice(1, None),
    }
    return tokens[:, rows[pool]].mean(1)


def reversed_public(net: VisionTransformer, images: Tensor, sets: dict[int, Tensor]) -> Tensor:
    """The defect of the public code: prompts from the top overwrite patches, because none were there before."""
    tokens = net._pos_embed(net.patch_embed(images))
    for index, block in enumerate(net.blocks):
        if index in sets:
            prompts = sets[index].expand(len(images), -1, -1)
            tokens = torch.cat([tokens[:, :1], prompts, tokens[:, 1 + len(sets[index]) :]], 1)
        tokens = block(tokens)
    return net.norm(tokens)


def bound(patch: int, width: int) -> float:
    return math.sqrt(6 / (3 * patch * patch + width))
