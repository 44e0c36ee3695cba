"""The folded net beside the one that it was made of: equal in float64, with less held; nets that cannot be folded."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm
import torch
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torchvision import models

from pixprompt.core import ModelSpec
from pixprompt.models import TorchModel
from pixprompt.models.folding.first_token import FirstToken
from pixprompt.models.folding.fold import fold
from pixprompt.models.folding.layers import FrozenAttention, FrozenConv, FrozenPatches

SIZE = (48, 48)
NETS = {
    "torchvision shufflenet_v2_x0_5": 0,
    "torchvision mobilenet_v3_small": 0,
    "timm tf_efficientnet_lite0": 0,
    "timm resnet18": 0,  # adds to its maps in place between a norm and an activation
    "timm resnetv2_18": 9,  # a norm in front of its convolution stays
    "timm tf_mixnet_s": 34,  # so does one behind several convolutions that are joined
}
"""Library and net -> batch norms that are left."""


def run(net: nn.Module, images: Tensor) -> Tensor:
    outputs: Tensor = net(images)
    return outputs


def make(name: str) -> nn.Module:
    library, _, architecture = name.partition(" ")
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = timm.create_model(architecture) if library == "timm" else models.get_model(architecture)
    for norm in norms(net):
        for value in (norm.running_mean, norm.bias.data):
            value += 0.1 * torch.randn(value.shape, generator=generator)
    return net.eval().requires_grad_(False)


def norms(net: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]


def answer(net: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs, and the gradient that reaches the images."""
    leaf = images.clone().requires_grad_()
    outputs = net(leaf)
    outputs.square().sum().backward()
    assert leaf.grad is not None
    return outputs.detach(), leaf.grad


@pytest.mark.parametrize(("name", "num_left"), NETS.items())
def test_a_folded_net_gives_the_same_outputs_and_gradients(name: str, num_left: int) -> None:
    net = make(name).double()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    folded = fold(net, run, SIZE)
    assert len(norms(net)) > num_left == len(norms(folded))
    images = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for actual, expected in zip(answer(folded, images), answer(net, images), strict=True):
        assert (actual - expected).abs().max() <= 1e-12 * expected.abs().max()
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


class Branching(nn.Module):
    """Reads the convolution a second time beside its norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.norm.running_var.fill_(0.5)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.conv(images)
        return (self.norm(maps) * maps).mean((2, 3))


def test_a_net_that_would_answer_otherwise_is_not_folded() -> None:
    net = Branching().eval().requires_grad_(False)
    assert fold(net, run, SIZE) is net


def test_a_net_without_anything_to_fold_stays() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 48 * 48, 5))
    assert fold(net, run, SIZE) is net


def held(forward: Callable[[], Tensor]) -> int:
    """Bytes that autograd holds for the backward pass."""
    calls: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        calls[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = forward()
    del result
    return sum(calls.values())


def test_less_is_held_for_the_backward_pass() -> None:
    net = make("timm tf_efficientnet_lite0")
    folded = fold(net, run, (96, 96))
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1)).requires_grad_()
    torch.testing.assert_close(folded(images), net(images), rtol=1e-4, atol=1e-4)  # float32 has kernels of its own
    weights = sum(value.nbytes for value in net.parameters())
    assert held(lambda: folded(images)) - weights < 0.5 * (held(lambda: net(images)) - weights)


def test_in_bfloat16_the_gradient_points_the_same_way() -> None:
    """With the depthwise convolution of stride 2, whose gradient goes another way there."""
    conv = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8, bias=False).requires_grad_(False)
    frozen = FrozenConv(conv, None, SIZE)
    maps = torch.randn(2, 8, 15, 15, generator=torch.Generator().manual_seed(0))
    _, expected = answer(conv, maps)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, gradient = answer(frozen, maps)
    assert outputs.dtype == torch.bfloat16
    torch.testing.assert_close(gradient, expected, rtol=0.02, atol=0.02 * float(expected.abs().max()))
    assert not torch.equal(gradient, expected), "the comparison must notice another precision"


def test_a_hook_on_the_net_is_called() -> None:
    net = make("torchvision resnet18")
    model = TorchModel(net, ModelSpec("resnet", SIZE, 1000), owned=True)
    images, calls = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(2)), []
    folded = model(images)
    hook = net.layer1.register_forward_hook(lambda *_: calls.append(1))  # type: ignore[union-attr, operator]
    torch.testing.assert_close(model(images), folded, rtol=1e-4, atol=1e-4)
    hook.remove()
    model(images)
    assert calls == [1]


def test_a_model_that_moves_is_folded_again() -> None:
    model = TorchModel(make("torchvision mobilenet_v3_small"), ModelSpec("mobilenet", SIZE, 1000), owned=True)
    images = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(3))
    single = model(images)
    double = model.double()(images.double())
    torch.testing.assert_close(double, single, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch_first", [True, False])
def test_attention_and_patches_of_a_transformer_give_the_same(batch_first: bool) -> None:
    net = Transformer(batch_first).double().eval().requires_grad_(False)
    folded = fold(net, run, SIZE)
    kinds = [type(module) for module in folded.modules()]
    assert FrozenAttention in kinds
    assert FrozenPatches in kinds
    images = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    for actual, expected in zip(answer(folded, images), answer(net, images), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def test_attention_answers_in_the_precision_of_its_net() -> None:
    own = nn.MultiheadAttention(8, 2, batch_first=True).bfloat16().eval()
    tokens = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(4)).bfloat16()
    actual, expected = FrozenAttention(own)(tokens)[0], own(tokens, tokens, tokens, need_weights=False)[0]
    torch.testing.assert_close(actual, expected, rtol=0.02, atol=0.02)


def test_attention_that_gives_its_weights_stays() -> None:
    net = Transformer(True, need_weights=True).eval().requires_grad_(False)
    kinds = [type(module) for module in fold(net, run, SIZE).modules()]
    assert FrozenPatches in kinds
    assert FrozenAttention not in kinds


VITS: dict[str, tuple[Callable[[], nn.Module], bool]] = {
    "timm, its first token": (lambda: small("vit_tiny_patch16_224"), True),
    "timm, with layer scale and registers": (lambda: small("vit_small_patch14_reg4_dinov2", patch_size=16), True),
    "timm, its mean": (lambda: small("vit_tiny_patch16_224", global_pool="avg", class_token=False), False),
    "timm, its first two tokens": (lambda: small("deit_tiny_distilled_patch16_224"), False),
    "open_clip": (lambda: VisionTransformer(48, 16, 24, 2, 2, 4.0, output_dim=7), True),
}
"""A transformer -> whether its first token alone is read."""


def small(name: str, **options: object) -> nn.Module:
    return timm.create_model(name, img_size=48, depth=2, embed_dim=24, num_heads=2, num_classes=7, **options)


@pytest.mark.parametrize("name", VITS)
def test_a_last_layer_of_which_one_token_is_read_computes_no_other(name: str) -> None:
    make_net, reads_first_alone = VITS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = make_net().double().eval().requires_grad_(False)
    folded = fold(net, run, SIZE)
    assert [type(module) for module in folded.modules()].count(FirstToken) == reads_first_alone
    images = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    for actual, expected in zip(answer(folded, images), answer(net, images), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-12)


class Transformer(nn.Module):
    """Patches, their attention to each other, the mean; images that leave a rest behind the last patch."""

    def __init__(self, batch_first: bool, *, need_weights: bool = False) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.patches = nn.Conv2d(3, 8, (10, 7), stride=(10, 7))
            self.attention = nn.MultiheadAttention(8, 2, batch_first=batch_first)
        self.batch_first, self.need_weights = batch_first, need_weights

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).permute(*((0, 2, 1) if self.batch_first else (2, 0, 1)))
        mixed: Tensor = self.attention(tokens, tokens, tokens, need_weights=self.need_weights)[0]
        return mixed.mean(1 if self.batch_first else 0)
