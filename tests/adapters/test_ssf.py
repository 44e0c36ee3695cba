"""SSF against scales and shifts of what the modules return, and merged into a plain net."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from pixprompt.adapters.baselines.ssf import SSF
from pixprompt.backbones.features import features

from .baseline_toy import make, model_of, pictures


def by_channel(vector: Tensor, module: nn.Module) -> Tensor:
    """A vector (C,) for outputs (N, C, H, W) or (..., C)."""
    return vector.view(-1, 1, 1) if type(module).__name__ in ("Conv2d", "LayerNorm2d") else vector


@pytest.mark.parametrize("net", ["timm-vit", "convnext"])
def test_it_scales_and_shifts_what_every_operation_returns(net: str) -> None:
    model = model_of(net)
    adapter = make("ssf", model)
    assert isinstance(adapter, SSF)
    with torch.no_grad():
        for value in adapter.parameters():
            value.add_(0.3)
    merged = adapter.features((pictures(),))
    assert not torch.allclose(merged, features(model, pictures()), atol=0.1)
    plain, hooks = copy.deepcopy(model), []
    for name, module in plain.named_modules():
        key = name.replace(".", "/")
        if f"{key}/weight" in adapter.scales:
            scale, shift = adapter.scales[f"{key}/weight"], adapter.shifts[f"{key}/bias"]

            def hook(module: nn.Module, inputs: object, output: Tensor, scale=scale, shift=shift) -> Tensor:
                return output * by_channel(scale, module) + by_channel(shift, module)

            hooks.append(module.register_forward_hook(hook))
    assert len(hooks) == len(adapter.scales) == len(adapter.shifts)
    torch.testing.assert_close(features(plain, pictures()), merged, rtol=1e-4, atol=1e-4)


def test_what_is_merged_is_a_plain_net() -> None:
    model = model_of("timm-resnet")  # its convolutions have no bias, and no shift
    adapter = make("ssf", model)
    assert isinstance(adapter, SSF)
    assert len(adapter.shifts) < len(adapter.scales)
    plain = copy.deepcopy(model)
    plain.load_state_dict(adapter.merged(), strict=False)
    torch.testing.assert_close(features(plain, pictures()), adapter.features((pictures(),)))
