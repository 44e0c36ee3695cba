"""SA²VP through the engine: the loss of two pathways, its settings, the paper's presets."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch.nn.functional import cross_entropy

from pixprompt.adapters import SA2VP
from pixprompt.adapters.methods.sa2vp import SA2VP_PRESETS
from pixprompt.core import ConfigError, ModelSpec
from pixprompt.data import Data
from pixprompt.engine import TrainConfig, train
from pixprompt.engine.config.grids import grids
from pixprompt.engine.config.presets import resolve
from pixprompt.engine.fit.gradients.adapter_fit import new_adapter
from pixprompt.engine.fit.gradients.gradient import GradientFit
from pixprompt.engine.fit.gradients.inputs import inputs_of
from pixprompt.engine.parts import build, canvases_of
from pixprompt.engine.progress import Silent
from pixprompt.models import TorchModel
from pixprompt.models.families.timm_ import wrap

from .conftest import SIZE

SPEC = ModelSpec("vit", (32, 32), 10)


@pytest.fixture
def vit() -> TorchModel:
    net = VisionTransformer(img_size=SIZE, patch_size=4, embed_dim=24, depth=3, num_heads=3, num_classes=6)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, tensor in net.named_parameters():
            if "norm" not in name:
                tensor.copy_(0.25 * torch.randn(tensor.shape, generator=generator))
    net.pretrained_cfg = net.default_cfg = {"input_size": (3, SIZE, SIZE), "mean": (0.5,) * 3, "std": (0.5,) * 3}
    return wrap(net, "tiny-vit")


def settings(**values: object) -> TrainConfig:
    options = {"method": "sa2vp-deep", "epochs": 1, "batch_size": 60, "lr": 0.01, "precision": "fp32", "dropout": 0.0}
    return TrainConfig(model="tiny-vit", data="toy").with_values(**options | values)


@pytest.mark.parametrize("balance", [1.0, 0.8, 0.3])
def test_the_loss_is_that_of_both_pathways(vit: TorchModel, data: Data, balance: float) -> None:
    parts = build(settings(balance=balance), model=vit, data=data)
    adapter = new_adapter(parts, 0)
    canvases = canvases_of(parts.data.train, parts.plain, 1, Silent(), "read train")
    count = len(canvases.labels)
    images = torch.from_numpy(canvases.pixels[:]).permute(0, 3, 1, 2) / 255
    labels = torch.from_numpy(canvases.labels)
    assert isinstance(adapter, SA2VP)
    features = adapter.features(adapter.frozen(images), both=True)
    image, prompt = (float(cross_entropy(adapter.head(part), labels).detach()) for part in features)
    inputs = inputs_of(adapter, canvases, "cpu")
    work = GradientFit.of(parts.config.with_values(batch_size=count), adapter, inputs, None, Silent(), device="cpu")
    line = work.run_epoch(0)
    assert line["train_loss"] == pytest.approx(balance * image + (1 - balance) * prompt, rel=1e-5)
    assert image != pytest.approx(prompt, rel=1e-3)


def test_without_supervision_the_maps_learn_through_the_image_alone(vit: TorchModel, data: Data) -> None:
    parts = build(settings(balance=1.0, epochs=5), model=vit, data=data)
    adapter = new_adapter(parts, 0)
    inputs = inputs_of(adapter, canvases_of(parts.data.train, parts.plain, 1, Silent(), "read train"), "cpu")
    work = GradientFit.of(parts.config, adapter, inputs, None, Silent(), device="cpu")
    before = {name: value.clone() for name, value in adapter.state_dict().items()}
    for epoch in range(4):  # what one pathway gives to the other starts at 0, so what is deep inside follows later
        work.run_epoch(epoch)
    assert [name for name, value in adapter.state_dict().items() if torch.equal(value, before[name])] == []


def test_warm_up_in_epochs_is_that_many_steps(vit: TorchModel, data: Data) -> None:
    parts = build(settings(batch_size=20, epochs=9, warmup_epochs=2), model=vit, data=data)
    adapter = new_adapter(parts, 0)
    inputs = inputs_of(adapter, canvases_of(parts.data.train, parts.plain, 1, Silent(), "read train"), "cpu")
    work = GradientFit.of(parts.config, adapter, inputs, None, Silent(), device="cpu")
    assert (parts.config.fit.warmup, work.warmup) == (None, 2 * work.steps)
    assert work.steps > 1


@pytest.mark.parametrize("deep", ["deep", "shallow"])
def test_the_search_tries_rates_of_its_own_and_not_the_presets(deep: str) -> None:
    config = TrainConfig(method=f"sa2vp-{deep}", preset="sa2vp-cub", search=True)
    resolved_config = resolve(config, SPEC)
    assert (resolved_config.fit.lr, resolved_config.fit.weight_decay, resolved_config.fit.batch_size) == (
        None,
        None,
        64,
    )
    assert grids(resolved_config)[0] == (0.0003, 0.001, 0.003, 0.01)


@pytest.mark.parametrize("name", sorted(SA2VP_PRESETS))
def test_presets_of_the_paper(name: str) -> None:
    resolved_config = resolve(TrainConfig(method="sa2vp-deep", preset=name), SPEC)
    assert (resolved_config.fit.optimizer, resolved_config.fit.weight_decay, resolved_config.fit.epochs) == (
        "adamw",
        1e-4,
        100,
    )
    assert {key: resolved_config.options()[key] for key in SA2VP_PRESETS[name]} == SA2VP_PRESETS[name]
    other = resolve(TrainConfig(method="sa2vp-shallow", preset=name, gamma=0.7, warmup=5), SPEC)
    values = other.options()
    assert (values["gamma"], values["warmup"], values["warmup_epochs"]) == (0.7, 5, None)
    with pytest.raises(ConfigError, match="for methods sa2vp-deep and sa2vp-shallow, not 'pixel'"):
        resolve(TrainConfig(preset=name), SPEC)


def test_presets_say_what_the_paper_says() -> None:
    published = {name: (values["bottleneck"], values["gamma"]) for name, values in SA2VP_PRESETS.items()}
    assert (published["sa2vp-cub"], published["sa2vp-cars"], published["sa2vp-hta"]) == (
        (16, 0.1),
        (64, 1.5),
        (64, 0.1),
    )
    groups = [published[f"sa2vp-{group}"] for group in ("natural", "specialized", "structured")]
    assert groups == [(8, 0.1), (16, 1.5), (32, 1.5)]
    slow = {name for name, values in SA2VP_PRESETS.items() if values["lr"] == 5e-4}
    assert slow == {"sa2vp-pets", "sa2vp-clevr-count"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tokens": 3}, "--tokens does nothing with method 'sa2vp-deep'; leave it out. It takes: --bottleneck"),
        ({"method": "linear", "dropout": None, "gamma": 0.1}, "--gamma does nothing with method 'linear'"),
        ({"method": "vpt-deep", "window": 3}, "--window does nothing with method 'vpt-deep'"),
        ({"window": 2}, "a window has a middle"),
        ({"map_scale": 3}, "cannot be scaled down by 3"),
        ({"bottleneck": 0, "activation": "relu"}, "--activation is inside the prompt adapters"),
        ({"search": True}, "--search chooses --lr"),
        ({"warmup": 3, "warmup_epochs": 1}, "give one of them"),
        ({"space": "unclamped"}, "--space does nothing with method 'sa2vp-deep'"),
        ({"preset": "vp"}, "method 'sa2vp-deep' has no preset 'vp'"),
        ({"method": "linear", "dropout": None, "preset": "sa2vp-cub"}, "method 'linear' has no preset 'sa2vp-cub'"),
    ],
)
def test_settings_that_do_nothing_are_refused(
    vit: TorchModel, data: Data, tmp_path: Path, values: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(settings(**values), out=tmp_path / "run", model=vit, data=data)
