"""Grad-CAM: known maps on nets that can be computed by hand, the right layer of real architectures, no trace left."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pixprompt.core import ModelError
from pixprompt.report.saliency.gradcam import gradcam

WEIGHT = torch.tensor([[1.0, -2.0, 0.5], [-1.0, 3.0, 0.0]])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Known(nn.Module):
    """The image itself as the feature map, averaged, then a linear layer: the map is relu(sum_k w_ck x_k)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.drop, self.head = nn.Conv2d(3, 3, 1, bias=False), nn.Dropout(0.5), nn.Linear(3, 2, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(3)[:, :, None, None])
            self.head.weight.copy_(WEIGHT)

    def forward(self, images: Tensor) -> Tensor:
        features = self.conv(images)
        features *= 2.0  # in place, after the hook: the map must be that of the convolution itself
        return self.head(features.mean(dim=(2, 3)))


def expected(images: Tensor, classes: Tensor) -> Tensor:
    maps = torch.einsum("nk,nkhw->nhw", WEIGHT[classes], images).relu()
    return maps / maps.amax(dim=(1, 2), keepdim=True)


def test_the_map_of_a_known_net() -> None:
    net = Known().eval()
    images, classes = torch.rand(4, 3, 5, 7, generator=generator()), torch.tensor([0, 1, 1, 0])
    heat = gradcam(net, net, images, classes)
    assert heat.layer == "conv"
    torch.testing.assert_close(heat.maps, expected(images, classes))
    assert not torch.allclose(heat.maps, expected(images, 1 - classes), atol=0.1)  # negative control


def test_a_map_without_support_is_zero_and_not_nan() -> None:
    net = Known().eval()
    images = torch.zeros(1, 3, 4, 4)
    images[:, 1] = 0.5  # speaks against class 0 only
    assert gradcam(net, net, images, torch.tensor([0])).maps.eq(0).all()


@pytest.mark.parametrize("fails", [False, True])
def test_the_net_is_as_before(fails: bool) -> None:
    net = Known().train()
    net.head.weight.requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    images = torch.rand(2, 3, 4, 4, generator=generator())
    original = images.clone()

    def score(batch: Tensor) -> Tensor:
        logits: Tensor = net(batch)
        if fails:
            raise ModelError("stopped")
        return logits

    if fails:
        with pytest.raises(ModelError, match="stopped"):
            gradcam(net, score, images, torch.tensor([0, 1]))
    else:
        gradcam(net, score, images, torch.tensor([0, 1]))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(not module._forward_hooks for module in net.modules())
    assert all(module.training for module in net.modules())
    assert [parameter.requires_grad for parameter in net.parameters()] == [True, False]
    assert all(parameter.grad is None for parameter in net.parameters())
    assert torch.equal(images, original)


def test_nets_without_places_or_gradients_say_so() -> None:
    flat = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 2))
    images, classes = torch.rand(1, 3, 8, 8, generator=generator()), torch.tensor([0])
    with pytest.raises(ModelError, match="no convolution or token layer"):
        gradcam(flat, flat, images, classes)
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(ModelError, match="no convolution or token layer"):
        gradcam(pooled, pooled, images, classes)
    net = Known()
    with pytest.raises(ModelError, match="no gradient"):
        gradcam(net, lambda batch: net(batch).detach(), images, classes)


ARCHITECTURES = {
    "class token": (
        "vit_tiny_patch16_224",
        {"depth": 2, "embed_dim": 32, "num_heads": 2},
        64,
        "blocks.1.norm1",
        (4, 4),
    ),
    "mean token": (
        "vit_tiny_patch16_224",
        {"depth": 2, "embed_dim": 32, "num_heads": 2, "global_pool": "avg"},
        64,
        "blocks.1.norm2",
        (4, 4),
    ),
    "windows": (
        "swin_tiny_patch4_window7_224",
        {"embed_dim": 16, "depths": (1, 1), "num_heads": (1, 2), "window_size": 4},
        64,
        "norm",
        (8, 8),
    ),
    "convnext": (
        "convnext_tiny",
        {"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 16)},
        64,
        "stages.3.blocks.0.norm",
        (2, 2),
    ),
    "convolution after pooling": ("mobilenetv3_small_050", {}, 64, "blocks.5.0.conv", (2, 2)),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_layer_of_common_architectures(name: str) -> None:
    timm = pytest.importorskip("timm")
    architecture, options, size, layer, shape = ARCHITECTURES[name]
    if architecture.startswith(("vit", "swin")):
        options = {**options, "img_size": size}
    net = timm.create_model(architecture, pretrained=False, num_classes=5, **options).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator(parameter.numel())))
    heat = gradcam(net, net, torch.rand(2, 3, size, size, generator=generator()), torch.tensor([1, 4]))
    assert (heat.layer, tuple(heat.maps.shape[1:])) == (layer, shape)
    assert bool(heat.maps.isfinite().all())
    assert set(heat.maps.amax(dim=(1, 2)).tolist()) in ({1.0}, {0.0, 1.0})
