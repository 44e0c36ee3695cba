"""VPT from what users type: families, defaults, counts, what is refused; and real weights."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch

from pixprompt.adapters.vpt import LOCATIONS, ViTVPT, VPTOptions, make_vpt
from pixprompt.adapters.vpt.convnet import ChannelConvNet, PaddedConvNet
from pixprompt.adapters.vpt.swin import SwinVPT
from pixprompt.core import ConfigError, ModelSpec, RangeError
from pixprompt.models import TorchModel

from ..backbones.convnet_toy import convnet
from ..backbones.swin_toy import swin
from ..backbones.vit_toy import CLASSES, DEPTH, library_features, real, seeded, vit

FAMILIES: dict[str, Callable[[], TorchModel]] = {"vit": vit, "swin": swin, "convnet": lambda: convnet("timm-resnet")}


def make(model: TorchModel, *, deep: bool = False, **options: object) -> object:
    return make_vpt(model, CLASSES, deep=deep, generator=seeded(), **options)


def base(tokens: int, depth: int) -> ViTVPT:
    """ViT-B/16 without memory for its weights."""
    with torch.device("meta"):
        net = timm.create_model("vit_base_patch16_224", num_classes=0)
    model = TorchModel(net, ModelSpec("vit-b16", (224, 224), 768), owned=True)
    return ViTVPT(model, ("a", "b"), VPTOptions(tokens=tokens, depth=depth), generator=seeded())


@pytest.mark.parametrize(("tokens", "depth", "count"), [(50, 1, 38_400), (50, 12, 460_800), (10, 12, 92_160)])
def test_counts_of_the_paper(tokens: int, depth: int, count: int) -> None:
    adapter = base(tokens, depth)
    assert adapter.num_tuned == count + 2 * 769
    assert adapter.num_backbone == 85_798_656  # as timm counts it without a classifier
    assert float(adapter.prompts.sets.tokens.detach().abs().max()) == pytest.approx(0.0625, abs=1e-4)
    share = count / adapter.num_backbone
    assert (tokens, depth, round(100 * share, 2)) in [(50, 1, 0.04), (50, 12, 0.54), (10, 12, 0.11)]


def test_counts_of_the_other_locations() -> None:
    sizes = {}
    for location in LOCATIONS:
        tokens = None if location.startswith("add") else 2
        adapter = make(vit(), location=location, tokens=tokens)
        sizes[location] = adapter.num_tuned - 25 * 3
    assert sizes == {
        "prepend": 2 * 24,
        "add": 5 * 24,
        "add-one": 24,
        "prepend-pixel": 3 * 16 * 32,
        "concat-channel": 2 * 32 * 32 + 24 * 2 * 16 * 16,
    }


def test_defaults() -> None:
    deep, shallow = make(vit(), deep=True), make(vit())
    assert deep.options == VPTOptions(tokens=10, depth=DEPTH, dropout=0.1)
    assert shallow.options == VPTOptions(tokens=10, depth=1, dropout=0.0)
    assert make(vit(), deep=True, location="add").options.tokens is None
    assert make(vit(), location="concat-channel").options.tokens == 1
    assert make(vit(), deep=True, depth=2, dropout=0.0).options == VPTOptions(depth=2)
    assert make(vit(), deep=True, tokens=0).num_tuned == 25 * 3


def test_goes_by_the_family() -> None:
    assert isinstance(make(vit("clip"), deep=True), ViTVPT)
    adapter = make(swin(), deep=True, tokens=2, depth=3, projection=4, location="prepend")
    assert isinstance(adapter, SwinVPT)
    assert (adapter.num_sets, adapter.dropout, adapter.pool) == (3, 0.1, "image")
    assert isinstance(make(convnet("timm-resnet")), PaddedConvNet)
    assert make(convnet("timm-resnet"), tokens=2, location="padding").pad == 2
    assert isinstance(make(convnet("timm-resnet"), location="concat-channel"), ChannelConvNet)


def test_the_layout_of_a_swin_is_a_choice() -> None:
    images = torch.rand(2, 3, 56, 56, generator=seeded())
    ours, legacy = (make(swin(), tokens=2, layout=layout).eval() for layout in ("image", "legacy"))
    assert torch.equal(make(swin(), tokens=2).eval()(images), ours(images))
    torch.testing.assert_close(legacy(images[:1]), ours(images[:1]))  # alone, there is nobody to mix with
    assert not torch.allclose(legacy(images), ours(images))


@pytest.mark.parametrize(
    ("family", "options", "message"),
    [
        ("vit", {"tokens": -1}, "needs 0 or more tokens, got -1"),
        ("vit", {"tokens": 17}, "toy-timm has 4 patches; expected at most 16 tokens, got 17"),
        ("vit", {"deep": True, "depth": 4}, "toy-timm has 3 layers, got depth 4"),
        ("vit", {"deep": True, "depth": 0}, "depth must be 1 layer or more, got 0"),
        ("vit", {"depth": 2}, "vpt-shallow has no option 'depth'; it takes tokens, dropout, location"),
        ("vit", {"location": "append"}, "location must be one of prepend, add, .* got 'append'"),
        ("vit", {"pool": "mean"}, "pool must be one of cls, image"),
        ("vit", {"deep": True, "depth_from": "side"}, "depth_from must be one of bottom, top"),
        ("vit", {"location": "add", "tokens": 3}, "has no number of tokens to choose"),
        ("vit", {"location": "add", "pool": "prompt"}, "pool 'prompt' needs prompt tokens"),
        ("vit", {"tokens": 0, "pool": "image-and-prompt"}, "needs prompt tokens"),
        ("vit", {"deep": True, "depth": 1, "shared": True}, "nothing to share"),
        ("vit", {"deep": True, "location": "prepend-pixel"}, "is the input of the whole model. Choose vpt-shallow"),
        ("vit", {"location": "concat-channel", "projection": 3}, "where projection has no meaning"),
        ("vit", {"location": "prepend-pixel", "tokens": 0}, "needs 1 or more tokens, got 0"),
        ("vit", {"location": "prepend-pixel", "tokens": 17}, "expected at most 16 tokens"),
        ("vit", {"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1"),
        ("vit", {"layout": "legacy"}, "VPT of a ViT does not know layout 'legacy'; leave it out"),
        ("vit", {"projection": 0}, "projection must be 1 or more, got 0"),
        ("swin", {"location": "add"}, "VPT of a Swin does not know location 'add'; choose prepend"),
        ("swin", {"deep": True, "shared": True}, "does not know shared True; leave it out"),
        ("swin", {"deep": True, "depth_from": "top"}, "does not know depth_from 'top'; choose bottom"),
        ("swin", {"pool": "cls"}, "it has no CLS token"),
        ("convnet", {"deep": True}, "is a ConvNet: it has prompts at its input only"),
        ("convnet", {"location": "prepend"}, "choose padding or concat-channel"),
        ("convnet", {"dropout": 0.1}, "VPT of a ConvNet does not know dropout 0.1; leave it out"),
    ],
)
def test_refuses(family: str, options: dict, message: str) -> None:
    with pytest.raises((ConfigError, RangeError), match=message):
        make(FAMILIES[family](), **options)


def test_refuses_other_families() -> None:
    model = TorchModel(torch.nn.Flatten(), ModelSpec("flat", (32, 32), 3072))
    with pytest.raises(ConfigError, match="flat is Flatten; expected a vision transformer"):
        make(model)


@pytest.mark.assets
@pytest.mark.parametrize("name", ["vit-tiny", "mini-clip"])
def test_on_real_weights_deep_prompts_are_the_plain_form(name: str, assets: Path) -> None:
    model = real(name, assets)
    images = torch.rand(2, 3, 224, 224, generator=seeded())
    adapter = make(model, deep=True, tokens=20).eval()
    tokens = adapter.view.embed(images)
    for index, layer in enumerate(adapter.view.layers):
        prompts = adapter.prompts.sets.tokens[index].expand(2, -1, -1)
        tokens = layer(torch.cat([tokens[:, :1], prompts, tokens[:, -196:]], 1))
    expected = adapter.head(adapter.view.norm(tokens)[:, 0])
    assert tokens.shape[1] == 217
    torch.testing.assert_close(adapter(images), expected, rtol=1e-3, atol=1e-3)
    none = make(model, tokens=0).eval()
    features = library_features(model, images)[:, 0]
    torch.testing.assert_close(none(images), none.head(features), rtol=1e-3, atol=1e-3)
    assert (none.head(features) - expected).abs().max() > 1e-2
    assert math.prod(adapter.prompts.sets.tokens.shape) == 12 * 20 * 192
