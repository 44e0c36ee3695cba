"""Arithmetic of one training step on ViT-B/16, counted on tensors without memory, against the floor of each method."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pixprompt.adapters.baselines.base import Baseline
from pixprompt.backbones.vit import ViT

from ..backbones.vit_toy import vit_b
from .baseline_toy import make, seeded


def counted(run: functools.partial[Tensor]) -> int:
    """Multiplications and additions of a forward pass and its backward."""
    with FlopCounterMode(display=False) as counter:
        loss = run().sum()
        if loss.requires_grad:
            torch.autograd.backward(loss)
    return int(counter.get_total_flops())


def through(tokens: Tensor) -> Tensor:
    vit = ViT(vit_b())
    for layer in vit.layers:
        tokens = layer(tokens)
    return vit.norm(tokens[:, 0])


@functools.cache
def floors() -> dict[str, int]:
    """Of the layers alone: forward; forward and backward to their input, without a gradient of any weight; and all."""
    tokens = torch.zeros(2, 197, 768, device="meta")
    forward = counted(functools.partial(through, tokens))
    return {"forward": forward, "input side": counted(functools.partial(through, tokens.requires_grad_()))}


def step(adapter: Baseline) -> int:
    images = torch.zeros(2, 3, 224, 224, device="meta")
    parts = tuple(part.detach() for part in adapter.frozen(images))
    return counted(functools.partial(adapter.tuned, parts, generator=seeded()))


@pytest.mark.parametrize("method", ["lora", "adapter", "adaptformer", "bias"])
def test_no_method_costs_a_tenth_more_than_the_input_side(method: str) -> None:
    cost = step(make(method, vit_b(), **({"bottleneck": 64} if method == "adaptformer" else {})).to("meta"))
    assert 0.9 < cost / floors()["input side"] < 1.1
    assert floors()["input side"] == pytest.approx(2 * floors()["forward"], rel=0.05)


def test_full_pays_for_the_weights_too() -> None:
    """The negative control: gradients of all weights are half as much again, and the count sees them."""
    assert step(make("full", vit_b()).to("meta")) / floors()["input side"] > 1.4


@pytest.mark.parametrize("layers", [1, 3])
def test_partial_pays_for_its_layers_only(layers: int) -> None:
    cost = step(make("partial", vit_b(), layers=layers).to("meta"))
    assert cost / floors()["forward"] == pytest.approx(3 * layers / 12, rel=0.15)


def test_linear_pays_for_the_head_only() -> None:
    assert step(make("linear", vit_b()).to("meta")) < floors()["forward"] / 1000
