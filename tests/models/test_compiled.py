"""The layers of a transformer, compiled: the same answers and gradients, and a clear word where it cannot be."""

from __future__ import annotations

import shutil

import pytest
import timm
import torch
from torch import Tensor, nn

from pixprompt.core import ConfigError, ModelSpec
from pixprompt.models import TorchModel


def model(net: nn.Module) -> TorchModel:
    return TorchModel(net, ModelSpec(name="small", image_size=(32, 32), num_outputs=5), owned=True)


def vit() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return timm.create_model("vit_tiny_patch16_224", img_size=32, depth=3, num_classes=5)


def answer(answering: TorchModel, images: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs, and the gradient that reaches the images."""
    leaf = images.clone().requires_grad_()
    outputs = answering(leaf)
    outputs.square().sum().backward()
    assert leaf.grad is not None
    return outputs.detach(), leaf.grad


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no compiler for the CPU")
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch looks at it itself
def test_compiled_layers_give_the_same() -> None:
    plain, compiled = model(vit()), model(vit())
    compiled.compile_layers()
    for count in (4, 3):  # the last batch of an epoch may be smaller
        images = torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(count))
        torch.testing.assert_close(answer(compiled, images), answer(plain, images), rtol=1e-4, atol=1e-5)


def test_a_net_without_such_layers_is_refused() -> None:
    with pytest.raises(ConfigError, match="serves vision transformers, and small is none"):
        model(nn.Sequential(nn.Conv2d(3, 5, 32), nn.Flatten())).compile_layers()


def test_a_machine_without_a_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("no\n  compiler")

    monkeypatch.setattr(torch, "compile", refuse)
    with pytest.raises(ConfigError, match=r"cannot compile here \(no compiler\); leave out --compile"):
        model(vit()).compile_layers()
