"""Methods that reach into the model, through a whole run on a tiny vision transformer."""

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from timm.models.resnet import BasicBlock, ResNet
from timm.models.vision_transformer import VisionTransformer
from torch import nn

import pixprompt
from pixprompt.adapters import METHODS, PixelPrompt, load_adapter
from pixprompt.canvas import Canvas
from pixprompt.core import Access, AccessError, ConfigError, PromptError
from pixprompt.engine import Calls, TrainConfig, deploy, evaluate, plan, predict, train
from pixprompt.engine.config.grids import grids
from pixprompt.engine.fit.gradients.adapter_fit import new_adapter
from pixprompt.engine.fit.gradients.inputs import CachedFeatures, Images, inputs_of
from pixprompt.engine.parts import build, canvases_of
from pixprompt.engine.progress import Silent
from pixprompt.files.tensors import load_state, save_state
from pixprompt.models import TorchModel, as_model
from pixprompt.models.families.timm_ import wrap
from pixprompt.outputs import make_output
from pixprompt.templates import make_template

from ..adapters.clip_toy import toy_clip
from .conftest import SIZE
from .toy import KillAfter, Killed, history, numbers


def tiny(seed: int = 5) -> TorchModel:
    net = VisionTransformer(img_size=SIZE, patch_size=4, embed_dim=24, depth=3, num_heads=3, num_classes=6)
    return wrap(filled(net, seed), "tiny-vit")


def filled(net: nn.Module, seed: int = 5) -> nn.Module:
    """A net with random numbers that torch's own generator has no part in."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in net.named_parameters():
            if "norm" not in name:
                tensor.copy_(0.25 * torch.randn(tensor.shape, generator=generator))
    net.pretrained_cfg = {"input_size": (3, SIZE, SIZE), "mean": (0.5,) * 3, "std": (0.5,) * 3}
    net.default_cfg = net.pretrained_cfg
    return net


@pytest.fixture
def vit() -> TorchModel:
    return tiny()


@pytest.fixture
def inside() -> TrainConfig:
    return TrainConfig(
        model="tiny-vit", data="toy", method="vpt-deep", tokens=3, epochs=3, batch_size=16, lr=0.1, precision="fp32"
    )


def configured(inside: TrainConfig, method: str) -> TrainConfig:
    narrow = {"adaptformer": {"bottleneck": 8}, "lora": {"rank": 2}}.get(method, {})
    return inside.with_values(method=method, tokens=3 if method.startswith("vpt") else None, **narrow)


def snapshot(model: TorchModel) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("method", [name for name in METHODS if METHODS[name].white_box])
def test_every_method_runs_whole_and_leaves_the_backbone_alone(method, inside, vit, data, tmp_path) -> None:
    vit = toy_clip() if method == "coop" else vit
    before = snapshot(vit)
    result = train(configured(inside, method), out=tmp_path / "run", model=vit, data=data)
    assert all(torch.equal(value, before[name]) for name, value in vit.state_dict().items())
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in vit.parameters())
    assert not any(module.training for module in vit.modules())
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {
        *(
            "README.md",
            "adapter.safetensors",
            "config.json",
            "curves.png",
            "history.jsonl",
            "preview.png",
            "result.json",
        ),
    }
    assert not (tmp_path / "run/prompt.png").exists()
    assert result.best == "adapter"
    assert result.accuracy["prompt_png"] is None
    assert result.adapter is not None
    assert result.parameters == result.adapter["tuned"]
    assert result.adapter["share"] == result.adapter["tuned"] / result.adapter["backbone"] > 0
    assert len(history(tmp_path / "run")) == 3


@pytest.mark.parametrize("method", ["linear", "partial", "tip-adapter-f", "vpt-shallow", "vpt-deep", "sa2vp-deep"])
def test_the_saved_adapter_scores_and_predicts_as_the_trained_one(method, inside, vit, data, wholes, tmp_path) -> None:
    folder, result = wholes(configured(inside, method), model=vit, data=data)
    again = evaluate(folder, model=tiny(), data=data)
    assert again.accuracy["prompt_float"] == result.accuracy["prompt_float"]
    assert (again.best, again.accuracy["prompt_png"], again.adapter) == ("adapter", None, result.adapter)
    elsewhere = evaluate(folder, model=tiny(), data=replace(data, name="other"))
    assert elsewhere.accuracy["no_prompt"] is None  # the adapter's own score is no rung below it
    image = tmp_path / "image.png"
    data.test.open(0).save(image)
    (line,) = predict(deploy(folder, model=tiny()), [str(image)])
    assert line["label"] in data.classes
    with deploy(folder / "adapter.safetensors", model=tiny()) as model:  # the file alone, which brings its settings
        assert model(image).label == line["label"]
        assert asyncio.run(model.answer([image])) == [model(image)]
    with pytest.raises(ConfigError, match="unknown model"):
        deploy(folder / "adapter.safetensors")
    with pytest.raises(ConfigError, match="--protocol goes with a model behind a URL"):
        deploy(folder, model="rn50", calls=Calls(protocol="v2"))
    with pytest.raises(ConfigError, match="has no cascade"):
        deploy(folder, model=tiny(), cascade=False)


def test_tip_adapter_is_scored_without_a_training(inside, vit, data, tmp_path) -> None:
    config = TrainConfig(model="tiny-vit", data="toy", method="tip-adapter", precision="fp32")
    result = train(config, out=tmp_path / "run", model=vit, data=data)
    assert result.parameters == result.counts["train"] * 24 == plan(build(config, model=vit, data=data))["parameters"]
    assert history(tmp_path / "run") == []
    assert result.accuracy["prompt_float"].test > result.accuracy["no_prompt"].test
    again = evaluate(tmp_path / "run", model=tiny(), data=data)
    assert again.accuracy["prompt_float"] == result.accuracy["prompt_float"]


KILLS = [("no prompt", 10), ("train", 70), ("train", 200)]
QUICK_KILLS = [
    ("linear", KILLS[0]),
    ("full", KILLS[1]),
    ("vpt-deep", KILLS[2]),
    ("sa2vp-deep", KILLS[2]),
    ("e2vpt", KILLS[2]),
]


@pytest.mark.parametrize(
    ("method", "stage", "images"),
    [
        pytest.param(method, *kill, marks=[] if (method, kill) in QUICK_KILLS else pytest.mark.slow)
        for method in ("linear", "vpt-deep", "sa2vp-deep", "full", "e2vpt")
        for kill in KILLS
    ],
)
def test_killed_and_resumed_equals_never_stopped(method, stage, images, inside, vit, data, wholes, tmp_path) -> None:
    config = configured(inside, method).with_values(dropout=0.1 if method == "vpt-deep" else None)
    config = config.with_values(prune_tokens=0.5) if method == "e2vpt" else config
    folder, whole = wholes(config, model=vit, data=data)
    with pytest.raises(Killed):
        train(config, out=tmp_path / "cut", model=vit, data=data, reporter=KillAfter(images, stage))
    resumed = train(TrainConfig(), out=tmp_path / "cut", resume=True, model=vit, data=data)
    assert replace(resumed, **CLOCKS) == replace(whole, **CLOCKS)
    assert history(tmp_path / "cut") == history(folder)
    assert (tmp_path / "cut/adapter.safetensors").read_bytes() == (folder / "adapter.safetensors").read_bytes()


CLOCKS = {"seconds": 0.0, "train_images_per_second": 0.0, "peak_memory_mb": 0.0}


def test_the_file_of_a_run_is_that_of_the_library(inside, vit, data, wholes, tmp_path) -> None:
    """One format: a run's adapter is read by hand, and one that was saved by hand is no run's."""
    folder, result = wholes(inside, model=vit, data=data)
    adapter = load_adapter(folder / "adapter.safetensors", tiny())
    canvases = canvases_of(data.test, Canvas.for_model(vit.spec), 1, Silent(), "read test")
    accuracy = pixprompt.evaluate(adapter, np.asarray(canvases.pixels[:]), canvases.labels)
    assert accuracy == pytest.approx(result.accuracy["prompt_float"].test)
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    adapter.save(copy / "adapter.safetensors")
    with pytest.raises(PromptError, match="was saved outside a run"):
        deploy(copy, model=tiny())
    template = make_template("padding", canvas_size=(SIZE, SIZE), size=2)
    pixels = PixelPrompt(template, vit, make_output("first-k", spec=vit.spec, classes=data.classes))
    pixels.save(copy / "adapter.safetensors")
    with pytest.raises(PromptError, match="holds a pixel prompt"):
        deploy(copy, model=tiny())


def test_the_seconds_of_earlier_sessions_count(inside, vit, data, tmp_path) -> None:
    with pytest.raises(Killed):
        train(inside, out=tmp_path / "run", model=vit, data=data, reporter=KillAfter(200, "train"))
    place = tmp_path / "run/checkpoint/state.safetensors"
    tensors, values = load_state(place)
    save_state(place, tensors, values | {"seconds": 1000.0})
    assert 1000 < train(TrainConfig(), out=tmp_path / "run", resume=True, model=vit, data=data).seconds < 1100


def test_results_depend_on_the_seed_and_not_on_the_global_one(inside, vit, data, tmp_path) -> None:
    config = inside.with_values(dropout=0.2)
    first = train(config, out=tmp_path / "a", model=vit, data=data)
    torch.manual_seed(99)
    assert numbers(train(config, out=tmp_path / "b", model=vit, data=data)) == numbers(first)
    train(config.with_values(seed=1), out=tmp_path / "c", model=vit, data=data)
    assert history(tmp_path / "c") != history(tmp_path / "a")


def test_another_backbone_is_refused(inside, vit, data, wholes) -> None:
    folder, _ = wholes(inside, model=vit, data=data)
    with pytest.raises(PromptError, match="means nothing there"):
        evaluate(folder, model=tiny(seed=6), data=data)


def test_other_statistics_or_normalisation_are_another_backbone(data, tmp_path) -> None:
    def resnet() -> TorchModel:
        return wrap(filled(ResNet(BasicBlock, [1, 1, 1, 1], num_classes=6, channels=(8, 8, 8, 8))), "tiny-resnet")

    config = TrainConfig(model="tiny-resnet", data="toy", method="linear", epochs=1, precision="fp32")
    train(config, out=tmp_path / "run", model=resnet(), data=data)
    evaluate(tmp_path / "run", model=resnet(), data=data)
    for change in (lambda model: model.net.bn1.running_mean.add_(1), lambda model: model.std.mul_(2)):
        other = resnet()
        change(other)
        with pytest.raises(PromptError, match="means nothing there"):
            evaluate(tmp_path / "run", model=other, data=data)


def test_a_damaged_file_is_refused(inside, vit, data, tmp_path) -> None:
    train(inside, out=tmp_path / "run", model=vit, data=data)
    (tmp_path / "run/adapter.safetensors").write_bytes(b"torn")
    with pytest.raises(PromptError, match="is damaged"):
        evaluate(tmp_path / "run", model=vit, data=data)


def test_the_file_holds_the_learned_numbers_only(inside, vit, data, wholes) -> None:
    folder, result = wholes(inside, model=vit, data=data)
    size = (folder / "adapter.safetensors").stat().st_size
    assert result.adapter["stored"] == 3 * 3 * 24 + 24 * 3 + 3 == result.parameters
    assert size < 4 * result.adapter["stored"] + 4000


def test_what_the_frozen_part_made_is_as_good_as_the_images(inside, vit, data) -> None:
    parts = build(configured(inside, "partial"), model=vit, data=data)
    adapter = new_adapter(parts, 0)
    canvases = canvases_of(parts.data.train, parts.plain, 1, Silent(), "read train")
    inputs = inputs_of(adapter, canvases, "cpu")
    assert isinstance(inputs, CachedFeatures)
    chosen = torch.tensor([3, 1, 59])
    generator = torch.Generator().manual_seed(0)
    plain = Images(adapter, canvases, "cpu")
    pairs = zip(inputs.supervised(chosen, generator), plain.supervised(chosen, generator), strict=True)
    assert all(share == other and torch.allclose(logits, more) for (share, logits), (other, more) in pairs)
    torch.testing.assert_close(inputs.answered(Silent()).outputs, plain.answered(Silent()).outputs)
    full = new_adapter(build(configured(inside, "full"), model=vit, data=data), 0)
    assert isinstance(inputs_of(full, canvases, "cpu"), Images)


# The search -----------------------------------------------------------------------------------------------------------


def searching(inside: TrainConfig, **values) -> TrainConfig:
    options = {
        "search": True,
        "lr_grid": "0.5,0.05",
        "weight_decay_grid": "0,0.01",
        "seeds": 2,
        "lr": None,
        "epochs": 2,
    }
    return configured(inside, "linear").with_values(**options | values)


def test_a_search_tries_the_grid_and_trains_on_both_splits(inside, vit, data, tmp_path) -> None:
    result = train(searching(inside), out=tmp_path / "run", model=vit, data=data)
    values = result.search
    tried = [(trial["lr"], trial["weight_decay"]) for trial in values["trials"]]
    assert tried == [(0.05, 0.0), (0.05, 0.01), (0.5, 0.0), (0.5, 0.01)]
    best = max(trial["val_accuracy"] for trial in values["trials"])
    first = next(trial for trial in values["trials"] if trial["val_accuracy"] == best)
    assert (values["lr"], values["weight_decay"]) == (first["lr"], first["weight_decay"])  # ties: the smaller
    assert [seed["seed"] for seed in values["seeds"]] == [0, 1]
    assert values["test_mean"] == pytest.approx(sum(seed["test"] for seed in values["seeds"]) / 2)
    assert result.accuracy["prompt_float"].val is None  # nothing is left to validate on
    again = evaluate(tmp_path / "run", model=vit, data=data)
    assert again.accuracy["prompt_float"].test == values["seeds"][0]["test"]
    assert again.accuracy["prompt_float"].val is None


@pytest.mark.parametrize("images", [400, *(pytest.param(n, marks=pytest.mark.slow) for n in (100, 700, 900))])
def test_a_search_resumes(images, inside, vit, data, wholes, tmp_path) -> None:
    folder, whole = wholes(searching(inside), model=vit, data=data)
    with pytest.raises(Killed):
        train(searching(inside), out=tmp_path / "cut", model=vit, data=data, reporter=KillAfter(images, "train"))
    resumed = train(TrainConfig(), out=tmp_path / "cut", resume=True, model=vit, data=data)
    assert (resumed.search, resumed.queries) == (whole.search, whole.queries)
    assert (tmp_path / "cut/adapter.safetensors").read_bytes() == (folder / "adapter.safetensors").read_bytes()


def test_a_trial_that_diverges_loses(inside, vit, data, tmp_path) -> None:
    config = searching(inside, lr_grid="0.05,1e38", seeds=1, test_images=9)
    result = train(config, out=tmp_path / "run", model=vit, data=data)
    assert result.counts["test"] == 9
    assert [trial["val_accuracy"] is None for trial in result.search["trials"]] == [False, False, True, True]
    assert result.search["lr"] == 0.05


def test_the_grids_are_the_papers_times_the_batch_size(inside) -> None:
    rates, decays = grids(inside.with_values(optimizer="sgd", batch_size=64))
    assert rates == tuple(rate / 4 for rate in (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0))
    assert decays == (0.0, 0.0001, 0.001, 0.01)
    assert grids(inside.with_values(optimizer="adamw", batch_size=256))[0] == (0.0001, 0.0005, 0.001, 0.005)
    with pytest.raises(ConfigError, match="numbers joined by commas"):
        grids(inside.with_values(lr_grid="0.1;0.2"))


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "linear"}, "--tokens does nothing with method 'linear'"),
        ({"method": "pixel"}, "--tokens does nothing with method 'pixel'"),
        ({"rank": 4}, "--rank does nothing with method 'vpt-deep'"),
        ({"method": "vpt-shallow", "depth": 2}, "--depth does nothing with method 'vpt-shallow'"),
        ({"template": "patch"}, "--template does nothing with method 'vpt-deep'"),
        ({"compile": True}, "--compile does nothing with method 'vpt-deep'"),
        ({"method": "mlp", "tokens": None, "batch_size": 1}, "at least 2"),
        ({"search": True}, "--search chooses --lr; leave it out, or give the values to try: --lr-grid"),
        ({"search": True, "lr": None, "weight_decay": 0.1}, "--search chooses --weight-decay"),
        ({"search": True, "lr": None, "epochs": 0}, "--epochs must be at least 1"),
        ({"fit": "shrink"}, "--fit does nothing with method 'vpt-deep'"),
        ({"seeds": 3}, "--seeds goes with --search"),
        ({"lr_grid": "1"}, "--lr-grid goes with --search"),
        ({"budget": 100}, "asks"),
        ({"optimizer": "spsa"}, "learns by gradients"),
        ({"preset": "vp"}, "no preset 'vp': it is for method pixel"),
        ({"surrogate": "resnet18"}, "--surrogate serves runs that learn from answers"),
        ({"rate": 2.0}, "--rate serves models behind a URL, and tiny-vit is none"),
        ({"depth": 9}, "9"),
        ({"method": "pixel", "tokens": None, "search": True}, "not 'pixel'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, message, inside, vit, data, tmp_path) -> None:
    with pytest.raises(ConfigError, match=message):
        train(inside.with_values(**values), out=tmp_path / "run", model=vit, data=data)
    assert not (tmp_path / "run").exists()


def test_a_model_that_cannot_be_opened_is_refused(inside, data, tmp_path) -> None:
    closed = as_model(lambda images: images.mean((2, 3)), image_size=SIZE)
    assert closed.access < Access.INTERNALS
    with pytest.raises(AccessError, match="needs INTERNALS access"):
        train(inside, out=tmp_path / "run", model=closed, data=data)


def test_the_wrong_family_is_refused_before_anything_is_written(inside, model, data, tmp_path) -> None:
    with pytest.raises(ConfigError, match="toy-net"):
        train(inside, out=tmp_path / "run", model=model, data=data)
    assert not (tmp_path / "run").exists()


def test_a_dry_run_counts_the_learned_numbers(inside, vit, data) -> None:
    planned = plan(build(inside, model=vit, data=data))
    assert planned["parameters"] == 3 * 3 * 24 + 24 * 3 + 3
    assert planned["queries"]["training"] == 3 * 60
    searched = plan(build(searching(inside), model=vit, data=data))
    assert searched["queries"]["training"] == 4 * 2 * 60 + 2 * 2 * 90
    assert json.dumps(planned)
