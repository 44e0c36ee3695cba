"""Segmenters: what is tuned, what stays as it was, where prompts go, positions on other grids."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor

from pixprompt.backbones import ViT
from pixprompt.backbones.origin import backbone_sha256
from pixprompt.core import AccessError, ConfigError
from pixprompt.models import TorchModel, as_model, load_model
from pixprompt.segmentation import METHODS
from pixprompt.segmentation.backbone import resized_position, tunable_copy
from pixprompt.segmentation.fitting import pixel_loss

from ..backbones.vit_toy import KINDS, vit
from .toy import SIZE, generator, toy_model, toy_segmenter


def images(count: int = 2, size: tuple[int, int] = SIZE) -> Tensor:
    return torch.rand(count, 3, *size, generator=generator(5))


def labels(count: int = 2) -> Tensor:
    return torch.randint(0, 5, (count, *SIZE), generator=generator(6))


def snapshot(model: TorchModel) -> list[object]:
    tensors = [(name, value.clone(), value.data_ptr()) for name, value in model.net.state_dict().items()]
    flags = [(value.requires_grad, value.grad) for value in model.net.parameters()]
    modules = [(each.training, len(each._forward_hooks), len(each._forward_pre_hooks)) for each in model.net.modules()]
    return [tensors, flags, modules]


def same(left: list[object], right: list[object]) -> bool:
    tensors = all(
        a[0] == b[0] and torch.equal(a[1], b[1]) and a[2] == b[2] for a, b in zip(left[0], right[0], strict=True)
    )
    return tensors and left[1:] == right[1:]


@pytest.mark.parametrize("owned", [True, False])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("crop", [(32, 32), (48, 16)])
def test_the_backbone_stays_as_it_was(method: str, crop: tuple[int, int], owned: bool) -> None:
    model = vit("timm", owned=owned)
    before = snapshot(model)
    segmenter = toy_segmenter(method, model=model, crop=crop)
    optimizer = torch.optim.SGD(segmenter.parameters(), lr=1.0)
    torch.autograd.backward(segmenter(images(size=crop)).square().sum())
    optimizer.step()
    assert same(before, snapshot(model))
    with torch.no_grad():
        next(iter(model.net.parameters())).add_(1e-3)
    assert not same(before, snapshot(model))  # negative control


@pytest.mark.parametrize(("method", "inner"), [("head", 0), ("vpt-shallow", 3 * 24), ("vpt-deep", 3 * 3 * 24)])
def test_counts(method: str, inner: int) -> None:
    segmenter = toy_segmenter(method)
    assert segmenter.num_inner == inner
    assert segmenter.num_head + inner == sum(value.numel() for value in segmenter.parameters())
    net = toy_model().net
    everything = sum(value.numel() for value in net.parameters())
    assert segmenter.num_backbone == everything - sum(value.numel() for value in net.head.parameters())


def test_bias_and_full_tune_what_their_names_say() -> None:
    bias, full = toy_segmenter("bias"), toy_segmenter("full")
    assert all(name.endswith("bias") for name in bias.inner)
    norm = sum(value.numel() for value in toy_model().net.norm.parameters())
    assert full.num_inner == full.num_backbone - norm  # the head reads before the final norm
    assert bias.num_inner == sum(value.numel() for name, value in full.inner.items() if name.endswith("bias"))


@pytest.mark.parametrize("method", METHODS)
def test_everything_that_is_tuned_learns_and_nothing_else_gets_a_gradient(method: str) -> None:
    segmenter = toy_segmenter(method, auxiliary=True)
    main, *others = segmenter.with_auxiliary(images())
    torch.autograd.backward(sum((pixel_loss(each, labels()) for each in others), pixel_loss(main, labels())))
    for name, value in segmenter.named_parameters():
        assert value.grad is not None, name
        assert value.grad.abs().sum() > 0 or name.endswith("k_proj/bias"), name
    tuned = {value.data_ptr() for value in segmenter.parameters()}
    frozen = [value for value in segmenter.backbone.net.parameters() if value.data_ptr() not in tuned]
    assert all(value.grad is None for value in frozen)


def test_methods_start_where_head_only_is() -> None:
    """Bias and full begin as the backbone is; no prompts are no prompts; one prompt changes something."""
    plain = toy_segmenter("head")(images())
    for method, design in (("bias", {}), ("full", {}), ("vpt-deep", {"tokens": 0})):
        assert torch.equal(plain, toy_segmenter(method, **design)(images()))
    prompted = toy_segmenter("vpt-deep", tokens=1)
    prompted.head.load_state_dict(toy_segmenter("head").head.state_dict())
    assert not torch.allclose(plain, prompted(images()), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_head_reads_the_models_own_patch_tokens(kind: str) -> None:
    model = vit(kind)
    segmenter, view = toy_segmenter("head", model=model), ViT(model)
    tokens = view.embed(images())
    for layer in view.layers:
        tokens = layer(tokens)
    assert torch.allclose(segmenter.patch_tokens(images())[-1], tokens[:, view.num_prefix :], atol=1e-6)


def test_the_last_tokens_are_those_of_the_library() -> None:
    model = toy_model()
    expected = model.net.forward_features(model.normalize(images()))[:, 1:]
    actual = model.net.norm(toy_segmenter("head", model=model).patch_tokens(images())[-1])
    assert torch.allclose(actual, expected, atol=1e-6)


@pytest.mark.parametrize("method", ["vpt-shallow", "vpt-deep"])
def test_the_order_of_prompts_does_not_matter(method: str) -> None:
    segmenter = toy_segmenter(method)
    before = segmenter(images())
    prompts = segmenter.inner["prompts"]
    with torch.no_grad():
        prompts.copy_(prompts[:, [2, 0, 1]].clone())
    assert torch.allclose(before, segmenter(images()), atol=1e-6)
    with torch.no_grad():
        prompts[-1, 0] = 0  # negative control
    assert not torch.allclose(before, segmenter(images()), atol=1e-5)


def test_deep_prompts_replace_those_of_the_layer_before() -> None:
    segmenter, view = toy_segmenter("vpt-deep"), ViT(toy_model())
    tokens = view.embed(images())
    for layer, prompts in zip(view.layers, segmenter.inner["prompts"], strict=True):
        joined = torch.cat([tokens[:, :1], prompts.expand(2, -1, -1), tokens[:, 1:]], 1)
        after = layer(joined)
        tokens = torch.cat([after[:, :1], after[:, 4:]], 1)
    assert torch.allclose(segmenter.patch_tokens(images())[-1], tokens[:, 1:], atol=1e-6)


def test_first_prompts_are_uniform_in_the_papers_bound() -> None:
    prompts = toy_segmenter("vpt-deep", tokens=200).inner["prompts"]
    bound = (6 / (3 * 8 * 8 + 24)) ** 0.5
    assert prompts.abs().max() <= bound
    assert prompts.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
    assert not torch.equal(prompts, toy_segmenter("vpt-deep", seed=1, tokens=200).inner["prompts"])


# Positions -----------------------------------------------------------------------------------------------------------


def test_positions_on_the_same_grid_are_the_same_and_on_another_those_of_the_library() -> None:
    position = torch.randn(1, 17, 24, generator=generator())
    assert resized_position(position, (4, 4), (4, 4)) is position
    actual = resized_position(position, (4, 4), (6, 2))
    expected = resample_abs_pos_embed(position, (6, 2), (4, 4), num_prefix_tokens=1)
    assert torch.allclose(actual, expected, atol=1e-6)
    assert torch.equal(actual[:, 0], position[:, 0])
    turned = resample_abs_pos_embed(position, (2, 6), (4, 4), num_prefix_tokens=1)
    assert not torch.allclose(actual, turned, atol=1e-2)  # negative control


def digest_of(model: TorchModel) -> str:
    return backbone_sha256(model, ViT(model).parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_takes_other_grids(kind: str) -> None:
    model = vit(kind)
    before, digest = snapshot(model), digest_of(model)
    copy, own = tunable_copy(ViT(model), (3, 1), lambda name: False)
    assert own == {}
    assert copy.embed(images(size=(48, 16))).shape == (2, copy.num_prefix + 3, copy.width)
    assert same(before, snapshot(model))
    assert digest_of(model) == digest


def test_a_copy_shares_memory_but_for_what_is_its_own() -> None:
    model = toy_model()
    copy, own = tunable_copy(ViT(model), (4, 4), lambda name: name == "blocks.1.mlp.fc1.weight")
    theirs = dict(model.net.named_parameters())
    moved = [name for name, value in copy.net.named_parameters() if value.data_ptr() != theirs[name].data_ptr()]
    assert moved == list(own) == ["blocks.1.mlp.fc1.weight"]


def test_the_digest_sees_every_weight_but_the_classifiers() -> None:
    model = toy_model()
    digest = digest_of(model)
    assert digest == digest_of(toy_model())
    with torch.no_grad():
        model.net.head.weight.add_(1)
    assert digest == digest_of(model)
    with torch.no_grad():
        model.net.blocks[2].mlp.fc2.bias[0] += 1e-6
    assert digest != digest_of(model)


@pytest.mark.assets
def test_a_real_transformer_on_its_own_grid_and_on_a_wider_one(assets: Path) -> None:
    model = load_model("vit-tiny", weights=assets / "weights/vit_tiny_patch16_224.safetensors")
    before = snapshot(model)
    wide = timm.create_model("vit_tiny_patch16_224", img_size=(256, 384)).eval()
    weights = dict(model.net.state_dict())
    weights["pos_embed"] = resample_abs_pos_embed(weights["pos_embed"], (16, 24), (14, 14))
    wide.load_state_dict(weights)
    for net, size in ((model.net, (224, 224)), (wide, (256, 384))):
        photo = images(1, size)
        actual = toy_segmenter("head", model=model, crop=size).patch_tokens(photo)[-1]
        expected = net.forward_features(model.normalize(photo))[:, 1:]
        assert torch.allclose(model.net.norm(actual), expected, atol=1e-4)
    deep = toy_segmenter("vpt-deep", model=model, crop=(256, 384), tokens=10)
    assert deep.num_inner == 12 * 10 * 192
    assert deep(photo).shape == (1, 5, 256, 384)
    assert same(before, snapshot(model))


# Wrong use -----------------------------------------------------------------------------------------------------------


def test_a_crop_of_broken_patches_is_refused() -> None:
    with pytest.raises(ConfigError, match="a crop of 36x32 pixels is not made of whole patches of 8x8"):
        toy_segmenter(crop=(36, 32))


def test_a_model_that_only_answers_is_refused() -> None:
    opaque = as_model(lambda batch: batch.mean((2, 3)).detach().numpy(), name="service", image_size=SIZE)
    with pytest.raises(AccessError, match=r"service only answers"):
        toy_segmenter(model=opaque)


def test_a_model_of_another_family_is_refused() -> None:
    net = torch.nn.Sequential(torch.nn.Flatten())
    with pytest.raises(ConfigError, match="expected a vision transformer"):
        toy_segmenter(model=TorchModel(net, toy_model().spec))
