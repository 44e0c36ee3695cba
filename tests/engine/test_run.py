"""Whole runs on a small task: what they write, that they can be killed, that they leave the model alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import pixprompt
from pixprompt.core import AccessError, ConfigError, ModelError
from pixprompt.engine import RUNGS, evaluate, plan, train
from pixprompt.engine.parts import build
from pixprompt.engine.result import read_result
from pixprompt.models import as_model

from .toy import history, numbers

FILES = {
    "README.md",
    "prompt.png",
    "result.json",
    "test.json",
    "history.jsonl",
    "curves.png",
    "preview.png",
    "config.json",
    "checkpoint",
}


@pytest.mark.usefixtures("drawn")
def test_run_directory_and_ladder(config, model, data, tmp_path) -> None:
    result = train(config, out=tmp_path / "run", model=model, data=data)
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES
    assert json.loads((tmp_path / "run/result.json").read_text()) == result.to_json()
    assert set(result.accuracy) == set(RUNGS)
    for score in result.accuracy.values():
        assert score.ci95[0] <= score.test <= score.ci95[1]
    assert result.counts == {"train": 60, "val": 30, "test": 45}
    assert len(history(tmp_path / "run")) == 4
    for name in ("curves.png", "preview.png"):
        with Image.open(tmp_path / "run" / name) as picture:
            assert min(picture.size) > 200


def test_prompt_learns_and_the_file_keeps_what_it_learned(config, model, data, wholes) -> None:
    folder, result = wholes(config.with_values(epochs=15), model=model, data=data)
    none, png = result.accuracy["no_prompt"], result.accuracy["prompt_png"]
    assert png.val > none.val
    assert png.test > none.test + 0.1
    assert result.best == "prompt"
    assert result.max_pixel_difference == 0
    assert {change.after for change in result.changes} == {"output_only", "prompt_png"}
    for change in result.changes:
        tests = [result.accuracy[rung].test for rung in (change.before, change.after)]
        assert change.images == result.counts["test"]
        assert change.share == pytest.approx(tests[1] - tests[0])
        assert change.ci95[0] < change.share < change.ci95[1]
    assert read_result(folder / "result.json") == result
    again = evaluate(folder, model=model, data=data)
    assert again.accuracy["prompt_png"] == png
    prompt = pixprompt.load(folder / "prompt.png")
    assert prompt.metrics["prompt_png"] == {"val": png.val, "test": png.test}
    assert prompt.output["classes"] == list(data.classes)


@pytest.mark.parametrize("values", [
    {"blend": "over", "output": "frequency"}, {"blend": "over", "fit": "shrink", "output": "blm+"},
    {"blend": "over", "opacity": "learned", "output": "first-k"}, {"fit": "shrink", "output": "random"},
    {"template": "patch", "place": "center", "output": "blm"}, {"template": "random-patch", "output": "linear"},
    {"template": "full"}, {"optimizer": "sgd", "lr": 2.0, "start": "normal"}, {"preset": "vp", "epochs": 3},
    {"preset": "evp"},
], ids=str)  # fmt: skip
def test_every_choice_runs_and_file_equals_memory(values, config, model, data, tmp_path) -> None:
    result = train(config.with_values(**{"epochs": 2, **values}), out=tmp_path / "run", model=model, data=data)
    assert result.max_pixel_difference in (0, None if result.best == "none" else 0)
    again = evaluate(tmp_path / "run/prompt.png", model=model, data=data)
    assert again.accuracy["prompt_png"] == result.accuracy["prompt_png"]


def test_same_seed_same_numbers_whatever_the_global_seed(config, model, data, wholes, tmp_path) -> None:
    folder, first = wholes(config, model=model, data=data)
    torch.manual_seed(123)
    np.random.seed(5)  # noqa: NPY002
    second = train(config, out=tmp_path / "b", model=model, data=data)
    assert numbers(first) == numbers(second)
    assert (folder / "prompt.png").read_bytes() == (tmp_path / "b/prompt.png").read_bytes()


def test_another_seed_gives_another_prompt(config, model, data, tmp_path) -> None:
    for seed in (0, 1):
        train(config.with_values(seed=seed, epochs=1), out=tmp_path / str(seed), model=model, data=data)
    assert history(tmp_path / "0") != history(tmp_path / "1")


def test_data_of_another_seed_is_refused(config, model, data, tmp_path) -> None:
    with pytest.raises(ConfigError, match="split with seed 3"):
        train(config, out=tmp_path / "run", model=model, data=replace(data, seed=3))


def test_what_was_brought_is_written_down(config, model, data, tmp_path) -> None:
    train(
        config.with_values(model="rn50", data="svhn"),
        out=tmp_path / "run",
        model=model,
        data=data,
    )
    written = json.loads((tmp_path / "run/config.json").read_text())
    assert (written["model"]["name"], written["data"]["name"]) == ("toy-net", "toy")


def test_the_backbone_is_left_as_it_was(config, net, model, data, tmp_path) -> None:
    before = {name: value.clone() for name, value in net.state_dict().items()}
    flags = [(module.training, [p.requires_grad for p in module.parameters()]) for module in net.modules()]
    train(config, out=tmp_path / "run", model=model, data=data)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert flags == [(module.training, [p.requires_grad for p in module.parameters()]) for module in net.modules()]
    assert all(p.grad is None for p in net.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in net.modules())


@pytest.mark.usefixtures("drawn")
def test_none_wins_where_the_prompt_only_harms(config, model, data, tmp_path) -> None:
    config = config.with_values(optimizer="sgd", lr=1e-6, blend="over", template="full", epochs=1)
    result = train(config, out=tmp_path / "run", model=model, data=data)
    assert result.best == "none"
    assert result.accuracy["prompt_png"] == result.accuracy["no_prompt"]
    prompt = pixprompt.load(tmp_path / "run/prompt.png")
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert np.array_equal(prompt.apply(image), image)
    assert any("empty" in note for note in result.notes)
    assert all(change.after == "output_only" for change in result.changes)


def test_normalized_space_reports_what_the_file_loses(config, model, data, tmp_path) -> None:
    config = config.with_values(space="unclamped", start="normal", optimizer="sgd", lr=20.0, epochs=6)
    result = train(config, out=tmp_path / "run", model=model, data=data)
    assert result.max_pixel_difference is None
    exported = pixprompt.load(tmp_path / "run/checkpoint/candidate.png")
    again = evaluate(tmp_path / "run/checkpoint/candidate.png", model=model, data=data).accuracy["prompt_png"]
    assert exported.template["name"] == "padding"
    assert result.accuracy["prompt_float"].val != again.val
    sentence = f"reaches {result.accuracy['prompt_float'].test:.3f} on test, saved as a PNG {again.test:.3f}."
    assert any(sentence in note for note in result.notes)


def test_none_competes_with_the_file_not_with_the_unclamped_prompt(config, model, data, tmp_path) -> None:
    """Over many starts the unclamped prompt often validates better than its own file; the file has to win."""
    for seed in range(4):
        settings = config.with_values(space="unclamped", start="normal", optimizer="sgd", lr=40.0, epochs=2, seed=seed)
        result = train(settings, out=tmp_path / str(seed), model=model, data=data)
        assert (result.best == "prompt") == (result.accuracy["prompt_png"].val > result.accuracy["no_prompt"].val)


def test_queries_are_counted_and_planned(config, model, data, tmp_path) -> None:
    config = config.with_values(price_per_1000=1.5)
    planned = plan(build(config, model=model, data=data))
    result = train(config, out=tmp_path / "run", model=model, data=data)
    # the first prompt changes nothing, so its answers are the plain ones and are not bought again
    assert result.queries["images"] == planned["queries"]["total"] == 135 + 4 * 90 + 2 * 75
    assert result.queries["cost"] == planned["cost"] == pytest.approx(645 * 1.5 / 1000, abs=1e-4)
    assert planned["parameters"] == result.parameters == 3 * 4 * 2 * (16 + 16 - 8)


def test_a_model_without_gradients_is_refused_before_any_training(config, data, tmp_path) -> None:
    calls = []

    def scores(images: torch.Tensor) -> torch.Tensor:
        calls.append(len(images))
        return torch.from_numpy(np.zeros((len(images), 6), np.float32))

    model = as_model(scores, image_size=(16, 16), name="closed")
    probes = len(calls)
    with pytest.raises(AccessError, match="needs GRADIENTS access, but closed offers SCORES"):
        train(config.with_values(optimizer="adam"), out=tmp_path / "run", model=model, data=data)
    assert len(calls) == probes


def test_a_model_that_answers_nan_is_named(config, data, tmp_path) -> None:
    def sick(images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3)) / (0.0 if len(images) > 1 else 1.0) * 0

    model = as_model(sick, image_size=(16, 16), num_outputs=3, name="sick")
    with pytest.raises(ModelError, match="sick"):
        train(config, out=tmp_path / "run", model=model, data=data)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fit": "shrink", "template": "patch"}, "leaves an inside"),
        ({"size": 8}, "padding"),
        ({"template": "patch", "size": 17}, "1..16"),
        ({"output": "text"}, "text"),
        ({"method": "pixl"}, "Did you mean 'pixel'"),
        ({"optimizer": "adm"}, "Did you mean 'adam'"),
        ({"space": "unclamped", "blend": "over"}, "blend 'add'"),
        ({"opacity": "much", "blend": "over"}, "opacity"),
        ({"device": "nonsense"}, "device"),
    ],
)
def test_settings_that_make_no_sense(values, message, config, model, data, tmp_path) -> None:
    with pytest.raises(ConfigError, match=message):
        train(config.with_values(**values), out=tmp_path / "run", model=model, data=data)


@pytest.mark.parametrize("count", [0, 9])
def test_as_many_test_images_are_scored_as_wanted(count, config, model, data, tmp_path) -> None:
    result = train(config.with_values(epochs=1, test_images=count), out=tmp_path / "run", model=model, data=data)
    assert result.counts["test"] == count
    own = result.accuracy["prompt_float"].test
    assert (own is None) if count == 0 else own * count == pytest.approx(round(own * count))
