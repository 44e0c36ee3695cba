"""Adapter, LoRA, AdaptFormer and side-tuning against their formulas, written out with plain tensors."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pixprompt.adapters.baselines.bottleneck import AdaptFormer, BottleneckAdapter
from pixprompt.adapters.baselines.dense import Bottleneck, uniform
from pixprompt.adapters.baselines.lora import LoRA
from pixprompt.adapters.baselines.side import SideTuning
from pixprompt.backbones.features import features
from pixprompt.core import ConfigError

from .baseline_toy import CLASSES, WIDTH, make, model_of, pictures, seeded, step


def shaken(adapter: nn.Module) -> nn.Module:
    """All learned numbers drawn anew, so that what starts at zero matters."""
    generator = seeded(3)
    with torch.no_grad():
        for value in adapter.parameters():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.3)
    return adapter


@pytest.mark.parametrize("targets", [("q", "v"), ("k",), ("q", "k", "v", "out"), ("out",)])
def test_lora_is_the_net_with_merged_weights(targets: tuple[str, ...]) -> None:
    model = model_of("timm-vit").double()
    adapter = shaken(LoRA(model, CLASSES, rank=2, alpha=6.0, targets=targets, generator=seeded()).double())
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for block, part in zip(twin.net.blocks, adapter.parts, strict=True):
            for name, pair in part.pairs.items():
                rows = "qkv".find(name) * WIDTH
                weight = block.attn.proj.weight if name == "out" else block.attn.qkv.weight[rows : rows + WIDTH]
                weight += 6.0 / 2 * pair.up @ pair.down
    expected = adapter.head(features(twin, pictures()))
    torch.testing.assert_close(adapter(pictures()), expected)
    assert not torch.allclose(adapter.head(features(model, pictures())), expected, atol=1e-2)


def test_lora_reads_its_targets_once() -> None:
    adapter = LoRA(model_of("timm-vit"), CLASSES, targets=iter(("q", "v")), generator=seeded())
    assert all(set(part.pairs) == {"q", "v"} for part in adapter.parts)


def test_lora_refuses_targets_that_do_not_exist() -> None:
    for targets in (("q", "w"), ()):
        with pytest.raises(ConfigError, match="targets must be some of q, k, v, out"):
            LoRA(model_of("timm-vit"), CLASSES, targets=targets, generator=seeded())


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_the_adapter_is_its_formula(activation: str) -> None:
    model = model_of("timm-vit").double()
    adapter = BottleneckAdapter(model, CLASSES, reduction=4, activation=activation, generator=seeded()).double()
    shaken(adapter)
    (tokens,) = adapter.frozen(pictures())
    for block, part in zip(model.net.blocks, adapter.parts, strict=True):
        tokens = tokens + block.ls1(block.attn(block.norm1(tokens)))
        after = block.ls2(block.mlp(block.norm2(tokens)))
        down, up = part.bottleneck.down, part.bottleneck.up
        inner = getattr(F, activation)(after @ down.weight.T + down.bias)
        tokens = tokens + after + inner @ up.weight.T + up.bias
    torch.testing.assert_close(adapter(pictures()), adapter.head(model.net.norm(tokens)[:, 0]))


def test_adaptformer_is_its_formula() -> None:
    model = model_of("timm-vit").double()
    adapter = shaken(AdaptFormer(model, CLASSES, bottleneck=5, scale=0.7, generator=seeded()).double())
    (tokens,) = adapter.frozen(pictures())
    for block, part in zip(model.net.blocks, adapter.parts, strict=True):
        tokens = tokens + block.ls1(block.attn(block.norm1(tokens)))
        normed = block.norm2(tokens)
        down, up = part.bottleneck.down, part.bottleneck.up
        beside = (normed @ down.weight.T + down.bias).relu() @ up.weight.T + up.bias
        tokens = tokens + block.ls2(block.mlp(normed)) + 0.7 * beside
    torch.testing.assert_close(adapter(pictures()), adapter.head(model.net.norm(tokens)[:, 0]))


def moved(adapter: nn.Module, start: dict[str, Tensor]) -> set[str]:
    own = [name for name in start if name.startswith("parts.")]
    return {name.split(".", 2)[2] for name in own if not torch.equal(adapter.state_dict()[name], start[name])}


@pytest.mark.parametrize("method", ["adapter", "adaptformer"])
def test_a_bottleneck_learns_and_one_of_zeros_never_would(method: str) -> None:
    """The trap of the public code: with both projections at zero only the last bias gets a gradient."""
    names = {f"bottleneck.{side}.{what}" for side in ("down", "up") for what in ("weight", "bias")}
    adapter = make(method, model_of("timm-vit"))
    start = copy.deepcopy(adapter.state_dict())
    step(adapter, 1)
    assert moved(adapter, start) == {"bottleneck.up.weight", "bottleneck.up.bias"}  # the rest has no gradient yet
    step(adapter, 1)
    assert moved(adapter, start) == names
    trap = make(method, model_of("timm-vit"))
    with torch.no_grad():
        for part in trap.parts:
            part.bottleneck.down.weight.zero_()
    start = copy.deepcopy(trap.state_dict())
    step(trap, 5)
    assert moved(trap, start) == {"bottleneck.up.bias"}


def test_first_weights_of_a_bottleneck() -> None:
    made_first = Bottleneck(400, 300, activation="relu", generator=seeded())
    weight = made_first.down.weight.detach()
    assert float(weight.abs().max()) <= 400**-0.5
    assert float(weight.std()) == pytest.approx((1 / 3 / 400) ** 0.5, rel=0.02)
    assert not any(value.any() for value in (made_first.up.weight, made_first.up.bias, made_first.down.bias))
    assert torch.equal(weight, uniform(300, 400, generator=seeded()))
    with pytest.raises(ConfigError, match="activation must be one of gelu, relu, got 'tanh'"):
        Bottleneck(4, 2, activation="tanh", generator=seeded())


def test_side_tuning_is_a_blend_that_starts_half_and_half() -> None:
    model = model_of("timm-vit")
    adapter = SideTuning(model, CLASSES, side_width=4, generator=seeded())
    frozen, normalized = adapter.frozen(pictures())
    assert torch.equal(frozen, features(model, pictures()))
    assert torch.equal(normalized, model.normalize(pictures()))
    side = adapter.side(normalized)
    torch.testing.assert_close(adapter(pictures()), adapter.head(0.5 * frozen + 0.5 * side))
    with torch.no_grad():
        adapter.alpha.fill_(1.5)
    blend = 1 / (1 + torch.exp(torch.tensor(-1.5)))
    torch.testing.assert_close(adapter(pictures()), adapter.head(blend * frozen + (1 - blend) * side))
    assert float(side.detach().std(0).min()) > 1e-3  # it sees the images


def test_the_side_network_counts() -> None:
    adapter = SideTuning(model_of("timm-vit"), CLASSES, side_width=4, generator=seeded())
    channels = [3, 4, 8, 16, 32]
    convolutions = sum(9 * a * b + 2 * b for a, b in pairwise(channels))
    assert adapter.num_tuned == convolutions + 32 * WIDTH + WIDTH + 1 + WIDTH * 3 + 3
    with pytest.raises(ConfigError, match="side_width must be at least 1, got 0"):
        SideTuning(model_of("timm-vit"), CLASSES, side_width=0, generator=seeded())
