"""SA²VP written down once more, step by step and token by token, as its public code computes it."""

from __future__ import annotations

import math

import torch
from timm.models.vision_transformer import Block
from torch import Tensor
from torch.nn import functional as F

from pixprompt.adapters.sa2vp import SA2VPOptions, ViTSA2VP
from pixprompt.models import TorchModel

from ..backbones.vit_toy import CLASSES, seeded, vit


def sa2vp(
    kind: str | TorchModel = "timm", *, seed: int = 0, depth: int = 6, size: int = 48, **options: object
) -> ViTSA2VP:
    """An SA²VP in float64 whose first numbers are large enough to matter; the grid is (size / 16) squared."""
    grown = {"depth": depth, "img_size": size} if isinstance(kind, str) and not kind.startswith("clip") else {}
    model = vit(kind, **grown) if isinstance(kind, str) else kind
    settings = {"bottleneck": 4, "rank": 3, "gamma": 0.7} | options
    adapter = ViTSA2VP(model.double(), CLASSES, SA2VPOptions(**settings), generator=seeded(seed)).double().eval()
    with torch.no_grad():
        for name, value in adapter.named_parameters():
            value.copy_(torch.randn(value.shape, generator=seeded(len(name)), dtype=torch.float64) * 0.5)
    return adapter


def cross(block: Block, query: Tensor, source: Tensor, grid: tuple[int, int], window: int) -> Tensor:
    """Equation 2 with the layer's own projections: (N, 1 + P, D) -> (N, 1 + P, D), without the residual."""
    width, heads = query.shape[-1], block.attn.num_heads
    weights, biases = block.attn.qkv.weight.split(width), block.attn.qkv.bias.split(width)
    normed = (block.norm1(query), block.norm1(source), block.norm1(source))
    q, k, v = (F.linear(x, w, b) for x, w, b in zip(normed, weights, biases, strict=True))
    rows = []
    for token in range(query.shape[1]):
        keys = seen_by(token, grid, window)
        mixed = [
            attend_one(q[:, token, one], k[:, keys][..., one], v[:, keys][..., one])
            for one in (slice(h * width // heads, (h + 1) * width // heads) for h in range(heads))
        ]
        rows.append(torch.cat(mixed, -1))
    result: Tensor = block.attn.proj(torch.stack(rows, 1))
    return result


def seen_by(token: int, grid: tuple[int, int], window: int) -> list[int]:
    """CLS sees everything, a patch the patches round its place that exist."""
    high, wide = grid
    if token == 0:
        return list(range(1 + high * wide))
    y, x, reach = (token - 1) // wide, (token - 1) % wide, window // 2
    return [
        1 + i * wide + j
        for i in range(high)
        for j in range(wide)
        if window == 0 or (abs(i - y) <= reach and abs(j - x) <= reach)
    ]


def attend_one(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    scores = (keys * query[:, None]).sum(-1) / math.sqrt(query.shape[-1])
    return (scores.softmax(-1)[..., None] * values).sum(1)


def pathways(adapter: ViTSA2VP, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of the image pathway and of the prompt pathway."""
    net, options, turns = adapter.view.net, adapter.options, (0, 2, 4)
    images = net._pos_embed(net.patch_embed(adapter.model.normalize(images)))
    prompts = (map_of(adapter, 0) + net.pos_embed).expand(len(images), -1, -1)
    for index, block in enumerate(net.blocks):
        asks = (prompts, images) if index in turns else (images, prompts)
        adapted_tokens = adapted(adapter, index, cross(block, *asks, adapter.view.grid, options.window) + asks[0])
        images, prompts = block(images), block(prompts)
        if options.deep and index in turns[1:]:
            place = turns.index(index)
            prompts = prompts + block(map_of(adapter, place)) * adapter.scalings[place - 1].factors
        if index in turns:
            prompts = prompts + options.gamma * adapted_tokens
        else:
            images = images + options.gamma * adapted_tokens
    image, prompt = (adapter.head.last(net.norm(tokens)[:, 0]) for tokens in (images, prompts))
    return image, prompt


def map_of(adapter: ViTSA2VP, place: int) -> Tensor:
    map_ = adapter.maps[place]
    return map_.tokens @ map_.projection.weight.T + map_.projection.bias if adapter.options.rank else map_.tokens


def adapted(prompted: ViTSA2VP, index: int, tokens: Tensor) -> Tensor:
    if not prompted.options.bottleneck:
        return tokens
    adapter = prompted.adapters[index]
    act = F.gelu if prompted.options.activation == "gelu" else F.relu
    normed = F.layer_norm(tokens, tokens.shape[-1:], adapter.norm.weight, adapter.norm.bias, 1e-6)
    hidden: Tensor = act(normed @ adapter.down.weight.T + adapter.down.bias)
    return hidden @ adapter.up.weight.T + adapter.up.bias
