"""The view of a ViT: its parts, composed, are the library's forward, and looking changes nothing."""

from pathlib import Path

import pytest
import torch
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import ParallelScalingBlock
from torch import Tensor

from pixprompt.backbones import Layer, ViT
from pixprompt.core import ConfigError, ModelSpec
from pixprompt.models import TorchModel

from .swin_toy import swin
from .vit_toy import DEPTH, KINDS, PATCHES, WIDTH, library_features, pictures, real, timm_net, vit


def composed(layer: Layer, tokens: Tensor) -> Tensor:
    tokens = tokens + layer.scale1(layer.attention(layer.norm1(tokens)))
    return tokens + layer.scale2(layer.mlp(layer.norm2(tokens)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_composed_are_the_librarys_forward(kind: str) -> None:
    model = vit(kind)
    view, images = ViT(model), pictures()
    whole = parts = view.embed(images)
    assert whole.shape == (4, view.num_prefix + PATCHES, WIDTH)
    for layer in view.layers:
        assert layer(whole).sub(whole).abs().max() > 0.1
        whole, parts = layer(whole), composed(layer, parts)
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(view.norm(whole), library_features(model, images), rtol=1e-5, atol=1e-5)
    assert (view.depth, view.width, view.grid, view.patch_size) == (DEPTH, WIDTH, (2, 2), (16, 16))
    assert view.num_prefix == (3 if kind == "registers" else 1)


def test_a_norm_that_is_left_out_would_be_seen() -> None:
    view = ViT(vit("registers"))
    tokens = view.embed(pictures())
    layer = view.layers[0]
    layer.query_norm = torch.nn.Identity()
    assert (composed(layer, tokens) - layer(tokens)).abs().max() > 1e-3
    patches = view.patches(pictures())
    assert (view.place(patches)[:, view.num_prefix :] - patches - view.position).abs().max() > 0.1  # norm_pre


@pytest.mark.parametrize("kind", KINDS)
def test_the_position_follows_its_net(kind: str) -> None:
    view = ViT(vit(kind))
    before = view.position
    view.model.double()
    assert view.position.dtype == torch.float64
    assert torch.equal(view.position, before.double())


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_all_but_the_classifier_and_the_text_side(kind: str) -> None:
    model = vit(kind)
    view = ViT(model)
    results = [id(parameter) for parameter in view.parameters()]
    assert len(set(results)) == len(results)
    left = {name for name, value in view.net.named_parameters() if id(value) not in results}
    assert left == {"proj"} if kind == "clip" else left <= {"head.weight", "head.bias"}
    assert set(results) <= {id(parameter) for parameter in view.net.parameters()}


def test_a_callers_net_is_held_and_given_back() -> None:
    model = vit(owned=False)
    view = ViT(model)
    model.net.train()
    model.net.blocks[0].eval()
    flags = [module.training for module in model.net.modules()]
    with view.model.held():
        assert not any(module.training for module in model.net.modules())
        first = view.layers[0](view.embed(pictures()))
        torch.testing.assert_close(first, view.layers[0](view.embed(pictures())), rtol=0, atol=0)
        assert not first.requires_grad
    assert [module.training for module in model.net.modules()] == flags
    assert all(parameter.requires_grad for parameter in model.net.parameters())
    assert not torch.equal(view.layers[2](first), view.layers[2](first))  # negative control: dropout is on outside


@pytest.mark.parametrize(
    "model",
    [
        swin(),
        vit(class_token=False, global_pool="avg"),
        vit(pos_embed="none"),
        vit(block_fn=ParallelScalingBlock),
        vit(global_pool="map"),
        vit(dynamic_img_size=True),
        TorchModel(torch.nn.Flatten(), ModelSpec("flat", (32, 32), 3072)),
    ],
)
def test_refuses_what_it_cannot_follow(model: TorchModel) -> None:
    with pytest.raises(ConfigError, match=r"expected a vision transformer .* Choose another"):
        ViT(model)


def test_follows_a_subclass_with_a_distillation_token() -> None:
    net = VisionTransformerDistilled(
        num_classes=5, img_size=32, patch_size=16, embed_dim=WIDTH, depth=1, num_heads=2
    ).eval()
    model = TorchModel(net, ModelSpec("toy-distilled", (32, 32), 5))
    view = ViT(model)
    assert view.num_prefix == 2
    tokens = view.norm(view.layers[0](view.embed(pictures())))
    torch.testing.assert_close(tokens, net.forward_features(pictures()))
    assert timm_net().num_prefix_tokens == 1


@pytest.mark.assets
@pytest.mark.parametrize("name", ["vit-tiny", "mini-clip"])
def test_opens_real_weights(name: str, assets: Path) -> None:
    model = real(name, assets)
    view = ViT(model)
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        tokens = view.embed(images)
        for layer in view.layers:
            tokens = composed(layer, tokens)
        torch.testing.assert_close(view.norm(tokens), library_features(model, images), rtol=1e-3, atol=1e-3)
    assert sum(parameter.numel() for parameter in view.parameters()) == 5_524_416
