"""Features before the classifier: the model's own classifier makes its own answers of them; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from open_clip.timm_model import TimmModel
from timm.layers import GroupNormAct
from timm.models.deit import VisionTransformerDistilled
from timm.models.resnet import BasicBlock, ResNet
from timm.models.resnetv2 import ResNetV2
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torchvision import models

from pixprompt.backbones.features import FeatureNet, features
from pixprompt.backbones.vit import ViT
from pixprompt.core import AnswerKind, ConfigError, ModelSpec
from pixprompt.models import DualEncoder, TorchModel, load_model

SIZE = 32


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(autouse=True)
def same_weights() -> Iterator[None]:
    """The libraries draw their first weights from the global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def pictures(count: int = 2, size: int = SIZE) -> Tensor:
    return torch.rand(count, 3, size, size, generator=seeded(1))


def model(net: nn.Module, *, size: int = SIZE, owned: bool = True) -> TorchModel:
    return TorchModel(net, ModelSpec("toy", (size, size), 5), mean=(0.4,) * 3, std=(0.2,) * 3, owned=owned)


def parameters(whole: TorchModel) -> list[nn.Parameter]:
    return list(FeatureNet(whole).weights().values())


def small_vit(**options: Any) -> VisionTransformer:
    return VisionTransformer(img_size=SIZE, patch_size=8, embed_dim=24, depth=2, num_heads=2, num_classes=5, **options)


TORCHVISION = {
    "resnet18": "fc",
    "mobilenet_v2": "classifier.1",
    "mobilenet_v3_small": "classifier.3",
    "shufflenet_v2_x0_5": "fc",
    "mnasnet0_5": "classifier.1",
    "regnet_y_400mf": "fc",
}


@pytest.mark.parametrize(("name", "last"), TORCHVISION.items())
def test_torchvision_s_last_layer_makes_the_answers_of_them(name: str, last: str) -> None:
    net = models.get_model(name, num_classes=5)
    whole = model(net)
    classifier = net.get_submodule(last)
    before = [id(module) for module in net.modules()]
    outputs = features(whole, pictures())
    assert outputs.shape == (2, FeatureNet(whole).width()) == (2, classifier.in_features)
    torch.testing.assert_close(classifier(outputs), whole(pictures()), rtol=1e-5, atol=1e-5)
    assert [id(module) for module in net.modules()] == before
    own = {id(value) for value in parameters(whole)}
    assert own == {id(value) for value in net.parameters()} - {id(value) for value in classifier.parameters()}


def timm_net(name: str) -> nn.Module:
    if name == "resnetv2":  # its classifier is a convolution, as BiT's
        return ResNetV2(
            (1, 1, 1, 1),
            channels=(16, 16, 32, 32),
            num_classes=5,
            stem_chs=8,
            norm_layer=partial(GroupNormAct, num_groups=4),
        )
    return timm.create_model(name, num_classes=5)


@pytest.mark.parametrize(
    "name", ["resnet18", "tf_efficientnet_lite0", "mobilenetv3_small_050", "convnext_atto", "resnetv2"]
)
def test_timm_s_classifier_makes_the_answers_of_them(name: str) -> None:
    net: Any = timm_net(name)
    whole = model(net)
    outputs = features(whole, pictures())
    classifier = net.get_classifier()
    grid = outputs[:, :, None, None] if isinstance(classifier, nn.Conv2d) else outputs
    torch.testing.assert_close(classifier(grid).flatten(1), whole(pictures()))
    own = {id(value) for value in parameters(whole)}
    assert own == {id(value) for value in net.parameters()} - {id(value) for value in classifier.parameters()}


def test_a_vision_transformer_gives_cls_after_the_final_norm() -> None:
    net = small_vit()
    whole = model(net)
    outputs = features(whole, pictures())
    assert FeatureNet(whole).width() == 24
    torch.testing.assert_close(net.head(outputs), whole(pictures()))
    torch.testing.assert_close(outputs, net.forward_features(whole.normalize(pictures()))[:, 0])
    assert {id(v) for v in parameters(whole)} == {id(v) for v in ViT(whole).parameters()}
    assert len(parameters(whole)) == len(list(net.parameters())) - 2


def test_a_vision_transformer_that_pools_patches_gives_cls_too() -> None:
    """As every method does that reaches into its layers: the features are one thing for all of them."""
    whole = model(small_vit(global_pool="avg"))
    vit = ViT(whole)
    tokens = vit.embed(pictures())
    for layer in vit.layers:
        tokens = layer(tokens)
    assert torch.equal(features(whole, pictures()), vit.norm(tokens[:, 0]))


def test_a_net_with_two_classifiers_leaves_out_both() -> None:
    net = VisionTransformerDistilled(
        img_size=SIZE, patch_size=8, embed_dim=24, depth=1, num_heads=2, num_classes=5, weight_init="skip"
    )
    assert len(parameters(model(net))) == len(list(net.parameters())) - 4


def clip_model(visual: nn.Module | None = None, **vision: Any) -> DualEncoder:
    from open_clip.model import CLIP

    settings = {"image_size": SIZE, "patch_size": 8, "width": 24, "layers": 2, "head_width": 12} | vision
    net = CLIP(10, settings, {"context_length": 8, "vocab_size": 16, "width": 16, "heads": 2, "layers": 1})
    if visual is not None:
        net.visual = visual
    spec = ModelSpec("toy-clip", (SIZE, SIZE), 10, answer=AnswerKind.EMBEDDINGS)
    tokenize = torch.zeros
    return DualEncoder(net, spec, mean=(0.5,) * 3, std=(0.2,) * 3, tokenizer=lambda texts: tokenize(len(texts), 8))


def unit(values: Tensor) -> Tensor:
    return nn.functional.normalize(values, dim=-1)


def test_a_clip_tower_gives_what_enters_its_projection() -> None:
    whole = clip_model()
    visual: Any = whole.net.visual
    outputs = features(whole, pictures())
    assert outputs.shape == (2, 24)
    torch.testing.assert_close(unit(outputs @ visual.proj), whole(pictures()))
    own = {id(value) for value in parameters(whole)}
    assert own == {id(value) for value in visual.parameters()} - {id(visual.proj)}


def test_a_timm_tower_of_a_clip_gives_what_enters_its_projection() -> None:
    visual = TimmModel("resnet18", 10, SIZE, proj="linear", proj_bias=True)
    whole = clip_model(visual)
    outputs = features(whole, pictures())
    assert outputs.shape == (2, 512)
    torch.testing.assert_close(unit(visual.head(outputs)), whole(pictures()))
    assert {id(v) for v in parameters(whole)} == {id(v) for v in visual.trunk.parameters()}


@pytest.mark.parametrize(
    "vision",
    [{"layers": (1, 1, 1, 1), "width": 8, "head_width": 16}, {"attentional_pool": True, "attn_pooler_heads": 2}],
)
def test_other_clip_towers_give_their_embedding_before_normalisation(vision: dict[str, Any]) -> None:
    whole = clip_model(**vision)
    outputs = features(whole, pictures())
    assert outputs.shape == (2, 10)
    torch.testing.assert_close(unit(outputs), whole(pictures()))
    assert not torch.allclose(outputs.norm(dim=1), torch.ones(2), atol=1e-2)
    assert {id(v) for v in parameters(whole)} == {id(v) for v in whole.net.visual.parameters()}


def test_a_net_of_nobody_known_is_refused() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, 5))
    with pytest.raises(ConfigError, match="toy is Sequential; expected a net of timm, torchvision or open_clip"):
        features(model(net), pictures())


def test_a_net_without_pooled_features_is_refused() -> None:
    net = ResNet(BasicBlock, (1, 1, 1, 1), num_classes=0, global_pool="", channels=(8, 8, 8, 24))
    with pytest.raises(ConfigError, match=r"has no features \(1, D\) before its classifier, but \(1, 24, 1, 1\)"):
        FeatureNet(model(net)).width()


def flags(net: nn.Module) -> list[tuple[Any, ...]]:
    modules = [(name, module.training, len(module._forward_hooks)) for name, module in net.named_modules()]
    return modules + [(name, value.requires_grad, value._version) for name, value in net.named_parameters()]


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18"])
def test_the_net_of_a_caller_is_held_and_left_as_it_was(name: str) -> None:
    net = models.get_model(name, num_classes=5).train()
    whole = model(net, owned=False)
    statistics = {key: value.clone() for key, value in net.named_buffers()}
    before = flags(net)
    first, second = features(whole, pictures()), features(whole, pictures())
    assert torch.equal(first, second)  # no dropout
    assert not first.requires_grad
    assert flags(net) == before
    assert all(torch.equal(value, statistics[key]) for key, value in net.named_buffers())


@pytest.mark.assets
def test_the_real_models(assets: Path) -> None:
    for name, width in (("mobilenet-v2", 1280), ("resnet18", 512), ("vit-tiny", 192)):
        files = {"mobilenet-v2": "mobilenet_v2", "vit-tiny": "vit_tiny_patch16_224"}
        whole = load_model(name, weights=assets / "weights" / f"{files.get(name, name)}.safetensors")
        outputs = features(whole, pictures(1, 224))
        last = [module for module in whole.net.modules() if isinstance(module, nn.Linear)][-1]
        assert outputs.shape == (1, width)
        torch.testing.assert_close(last(outputs), whole(pictures(1, 224)), rtol=1e-4, atol=1e-4)
    clip = load_model(f"open_clip:local-dir:{assets / 'weights/mini-clip-vit-ti16'}")
    outputs = features(clip, pictures(1, 224))
    visual: Any = clip.net.visual
    torch.testing.assert_close(unit(visual.head(outputs)), clip(pictures(1, 224)), rtol=1e-4, atol=1e-4)
