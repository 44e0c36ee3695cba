"""Methods that tune the backbone's own numbers: the same steps on a real copy give the same numbers, in float64."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import nn

from pixprompt.adapters.baselines.base import Baseline
from pixprompt.adapters.baselines.copies import Copies
from pixprompt.backbones.features import FeatureNet
from pixprompt.backbones.vit import ViT
from pixprompt.core import ConfigError
from pixprompt.models import TorchModel

from .baseline_toy import DEPTH, NETS, VITS, make, model_of, pictures, sharpened, step

STEPS, LR = 2, 0.05


def doubled(net: str) -> TorchModel:
    """In float64; the normalisation then makes float64 images of float32 ones."""
    return model_of(net).double()


def trained_copy(model: TorchModel, adapter: Baseline, tuned: set[str]) -> tuple[FeatureNet, nn.Module]:
    """Trains the named parameters of a deep copy and a copy of the head the plain way, and returns both."""
    twin = FeatureNet(copy.deepcopy(model))
    head = copy.deepcopy(adapter.head)
    chosen = [value.requires_grad_() for name, value in twin.named_parameters() if name in tuned]
    assert len(chosen) == len(tuned)
    optimizer = torch.optim.SGD([*chosen, *head.parameters()], lr=LR)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(head(twin(pictures())), torch.tensor([0, 1, 2]))
        torch.autograd.backward(loss)
        optimizer.step()
    return twin, head


def check_same_training(model: TorchModel, adapter: Baseline, tuned: set[str]) -> None:
    sharpened(adapter)
    twin, head = trained_copy(model, adapter, tuned)
    start = copy.deepcopy(adapter)
    step(adapter, STEPS, lr=LR)
    expected = head(twin(pictures()))
    assert torch.equal(adapter(pictures()), expected)
    assert not torch.allclose(start(pictures()), expected, atol=1e-3)  # the steps were long enough to see


@pytest.mark.parametrize("net", NETS)
def test_full_is_training_a_copy(net: str) -> None:
    model = doubled(net)
    adapter = make("full", model).double()
    check_same_training(model, adapter, set(FeatureNet(model).weights()))


@pytest.mark.parametrize("net", NETS)
def test_bias_is_training_a_copy_s_biases(net: str) -> None:
    model = doubled(net)
    adapter = make("bias", model).double()
    biases = {name for name in FeatureNet(model).weights() if name.endswith("bias")}
    check_same_training(model, adapter, biases)


@pytest.mark.parametrize("layers", range(1, DEPTH + 1))
def test_partial_is_training_a_copy_s_last_layers_and_norm(layers: int) -> None:
    model = doubled("timm-vit")
    adapter = make("partial", model, layers=layers).double()
    starts = ("net.norm", *(f"net.blocks.{place}." for place in range(DEPTH - layers, DEPTH)))
    check_same_training(model, adapter, {name for name in FeatureNet(model).weights() if name.startswith(starts)})


def test_partial_of_all_layers_is_full_without_the_embedding() -> None:
    model = model_of("timm-vit")
    partial, full = make("partial", model, layers=DEPTH), make("full", model)
    left = {name for name in FeatureNet(model).weights() if "blocks" not in name and "norm" not in name}
    assert left == {"net.cls_token", "net.pos_embed", "net.patch_embed.proj.weight", "net.patch_embed.proj.bias"}
    embedding = sum(value.numel() for name, value in FeatureNet(model).weights().items() if name in left)
    assert full.num_tuned - partial.num_tuned == embedding


@pytest.mark.parametrize("net", VITS)
@pytest.mark.parametrize("layers", [1, 2, DEPTH])
def test_partial_keeps_the_tokens_before_the_first_tuned_layer(net: str, layers: int) -> None:
    adapter = make("partial", model_of(net), layers=layers)
    (tokens,) = adapter.frozen(pictures())
    assert tokens.shape == (3, 17, 24)
    calls: list[int] = []
    vit = ViT(adapter.model)
    handles = [
        layer.module.register_forward_pre_hook(lambda *_, place=place: calls.append(place))
        for place, layer in enumerate(vit.layers)
    ]
    adapter.tuned((tokens,))
    for handle in handles:
        handle.remove()
    assert calls == list(range(DEPTH - layers, DEPTH))


PARTIAL = {
    "swin": (("layers.1.blocks.1", "norm."), ("layers.1.blocks.0", "layers.1.blocks.1", "norm.")),
    "timm-resnet": (("layer4.1.",), ("layer4.",)),
    "convnext": (("stages.3.blocks.1.", "head."), ("stages.3.blocks.", "head.")),
    "resnetv2": (("stages.3.blocks.1.", "norm."), ("stages.3.blocks.", "norm.")),
    "torchvision-resnet": (("layer4.",), ("layer3.", "layer4.")),
}


@pytest.mark.parametrize("net", PARTIAL)
@pytest.mark.parametrize("layers", [1, 2])
def test_partial_of_other_nets_tunes_the_last_blocks_and_what_follows(net: str, layers: int) -> None:
    model = doubled(net)
    adapter = make("partial", model, layers=layers).double()
    starts = tuple(f"net.{start}" for start in PARTIAL[net][layers - 1])
    check_same_training(model, adapter, {name for name in FeatureNet(model).weights() if name.startswith(starts)})


def test_partial_of_nets_without_known_layers_says_so() -> None:
    net = timm.create_model("tf_efficientnet_lite0")
    with pytest.raises(ConfigError, match="is EfficientNet; partial tunes the last layers of a vision transformer"):
        make("partial", TorchModel(net, model_of("swin").spec, owned=True))


def test_running_statistics_stay_and_are_no_part_of_the_state() -> None:
    model = model_of("timm-resnet")
    before = {name: value.clone() for name, value in model.net.named_buffers()}
    adapter = make("full", model).train()
    step(adapter, 2)
    assert len(before) > 20
    assert all(torch.equal(value, before[name]) for name, value in model.net.named_buffers())
    assert not [name for name in adapter.state_dict() if "running" in name]


def test_copies_leave_the_module_after_an_error() -> None:
    linear = nn.Linear(2, 3)
    weight = linear.weight
    copies = Copies(linear, {"weight": weight})
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        copies(torch.ones(1, 5))
    assert linear.weight is weight
    with torch.no_grad():
        next(copies.parameters()).zero_()
    assert torch.equal(copies(torch.ones(1, 2))[0], linear.bias)
