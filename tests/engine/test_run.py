"""Whole runs on a small task: what they write, that they can be killed, that they leave the model alone."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import pixprompt
from pixprompt import files, plots
from pixprompt import prompt as prompt_module
from pixprompt.core import AccessError, ConfigError, ModelError
from pixprompt.engine import RUNGS, Result, TrainConfig, checkpoint, evaluate, plan, run, train
from pixprompt.engine.build import build
from pixprompt.engine.report import Silent
from pixprompt.models import as_model

FILES = {"prompt.png", "result.json", "history.jsonl", "curves.png", "preview.png", "config.json", "checkpoint"}


def numbers(result: Result) -> dict:
    """The result without its clocks."""
    values = result.to_json()
    return {key: values[key] for key in values if key not in ("seconds", "train_images_per_second", "peak_memory_mb")}


def history(folder) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


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


def test_prompt_learns_and_the_file_keeps_what_it_learned(config, model, data, tmp_path) -> None:
    result = train(config.with_values(epochs=15), out=tmp_path / "run", model=model, data=data)
    none, png = result.accuracy["no_prompt"], result.accuracy["prompt_png"]
    assert png.val > none.val
    assert png.test > none.test + 0.1
    assert result.best == "prompt"
    assert result.max_pixel_difference == 0
    again = evaluate(tmp_path / "run", model=model, data=data)
    assert again.accuracy["prompt_png"] == png
    prompt = pixprompt.load(tmp_path / "run/prompt.png")
    assert prompt.metrics["prompt_png"] == {"val": png.val, "test": png.test}
    assert prompt.output["classes"] == list(data.classes)


@pytest.mark.parametrize("values", [
    {"blend": "over"}, {"blend": "over", "fit": "shrink"}, {"fit": "shrink"}, {"blend": "over", "opacity": "learned"},
    {"template": "patch", "place": "center"}, {"template": "random-patch"}, {"template": "full"},
    {"output": "frequency"}, {"output": "linear"}, {"output": "blm"}, {"output": "blm+"}, {"output": "first-k"},
    {"output": "random"}, {"optimizer": "sgd", "lr": 2.0}, {"preset": "vp", "epochs": 3}, {"start": "normal"},
], ids=str)  # fmt: skip
def test_every_choice_runs_and_file_equals_memory(values, config, model, data, tmp_path) -> None:
    result = train(config.with_values(**{"epochs": 2, **values}), out=tmp_path / "run", model=model, data=data)
    assert result.max_pixel_difference in (0, None if result.best == "none" else 0)
    again = evaluate(tmp_path / "run/prompt.png", model=model, data=data)
    assert again.accuracy["prompt_png"] == result.accuracy["prompt_png"]


def test_same_seed_same_numbers_whatever_the_global_seed(config, model, data, tmp_path) -> None:
    first = train(config, out=tmp_path / "a", model=model, data=data)
    torch.manual_seed(123)
    np.random.seed(5)  # noqa: NPY002
    second = train(config, out=tmp_path / "b", model=model, data=data)
    assert numbers(first) == numbers(second)
    assert (tmp_path / "a/prompt.png").read_bytes() == (tmp_path / "b/prompt.png").read_bytes()


def test_another_seed_gives_another_prompt(config, model, data, tmp_path) -> None:
    for seed in (0, 1):
        train(config.with_values(seed=seed, epochs=1), out=tmp_path / str(seed), model=model, data=data)
    assert history(tmp_path / "0") != history(tmp_path / "1")


class _Killed(BaseException):
    pass


class _KillAfter(Silent):
    def __init__(self, images: int, stage: str) -> None:
        self.left, self.wanted, self.current = images, stage, ""

    def stage(self, name: str, total: int) -> None:
        self.current = name

    def advance(self, steps: int = 1, **values: float) -> None:
        self.left -= steps * (self.current == self.wanted)
        if self.left < 0:
            raise _Killed


@pytest.mark.parametrize(
    ("stage", "images"),
    [("no prompt", 10), ("train", 10), ("train", 60), ("train", 130), ("train", 239), ("score", 50)],
)
@pytest.mark.parametrize(
    "values", [{}, {"optimizer": "sgd", "lr": 2.0}, {"template": "random-patch", "start": "normal"}]
)
def test_killed_and_resumed_equals_never_stopped(stage, images, values, config, model, data, tmp_path) -> None:
    config = config.with_values(**values)
    whole = train(config, out=tmp_path / "whole", model=model, data=data)
    with pytest.raises(_Killed):
        train(config, out=tmp_path / "cut", model=model, data=data, reporter=_KillAfter(images, stage))
    resumed = train(TrainConfig(), out=tmp_path / "cut", resume=True, model=model, data=data)
    assert numbers(resumed) == numbers(whole)
    assert history(tmp_path / "cut") == history(tmp_path / "whole")
    assert (tmp_path / "cut/prompt.png").read_bytes() == (tmp_path / "whole/prompt.png").read_bytes()


@pytest.mark.parametrize("file", ["state.safetensors", "history.jsonl", "prompt.png", "preview.png", "result.json"])
@pytest.mark.parametrize("after", [False, True])
def test_killed_beside_any_file_and_resumed(file, after, config, model, data, tmp_path, monkeypatch) -> None:
    whole = train(config, out=tmp_path / "whole", model=model, data=data)

    def killing(write, seen: list[Path]):
        def wrapped(path: Path, content: bytes) -> None:
            seen.append(path)
            last = path.name == file and [p.name for p in seen].count(file) == 2 - (file[-4:] in (".png", "json"))
            if not last or after:
                write(path, content)
            if last:
                raise _Killed

        return wrapped

    with monkeypatch.context() as patch:
        for module in (files, checkpoint, run, prompt_module, plots):
            patch.setattr(module, "write_bytes", killing(files.write_bytes, []))
        with pytest.raises(_Killed):
            train(config, out=tmp_path / "cut", model=model, data=data)
    resumed = train(TrainConfig(), out=tmp_path / "cut", resume=True, model=model, data=data)
    assert numbers(resumed) == numbers(whole)
    assert history(tmp_path / "cut") == history(tmp_path / "whole")
    assert (tmp_path / "cut/prompt.png").read_bytes() == (tmp_path / "whole/prompt.png").read_bytes()


def test_resuming_with_other_images_is_refused(config, model, data, tmp_path) -> None:
    with pytest.raises(_Killed):
        train(config, out=tmp_path / "run", model=model, data=data, reporter=_KillAfter(100, "train"))
    shuffled = replace(data, train=data.train.subset(list(reversed(range(60)))))
    with pytest.raises(ConfigError, match="not those that"):
        train(TrainConfig(), out=tmp_path / "run", resume=True, model=model, data=shuffled)


def test_resuming_a_finished_run_gives_its_result_and_asks_nothing(config, model, data, tmp_path) -> None:
    first = train(config, out=tmp_path / "run", model=model, data=data)
    again = train(TrainConfig(), out=tmp_path / "run", resume=True)
    assert again == first


def test_data_of_another_seed_is_refused(config, model, data, tmp_path) -> None:
    with pytest.raises(ConfigError, match="split with seed 3"):
        train(config, out=tmp_path / "run", model=model, data=replace(data, seed=3))


def test_two_runs_cannot_share_a_folder(config, model, data, tmp_path) -> None:
    class _Late(Silent):
        def stage(self, name: str, total: int) -> None:
            with pytest.raises(ConfigError, match="not empty"):
                train(config, out=tmp_path / "run", model=model, data=data)

    train(config.with_values(epochs=1), out=tmp_path / "run", model=model, data=data, reporter=_Late())


def test_what_was_brought_is_written_down(config, model, data, tmp_path) -> None:
    train(
        TrainConfig(**{**config.to_json(), "model": "rn50", "data": "svhn"}),
        out=tmp_path / "run",
        model=model,
        data=data,
    )
    written = json.loads((tmp_path / "run/config.json").read_text())
    assert (written["model"], written["data"]) == ("toy-net", "toy")


def test_a_run_is_not_overwritten(config, model, data, tmp_path) -> None:
    train(config, out=tmp_path / "run", model=model, data=data)
    with pytest.raises(ConfigError, match="not empty"):
        train(config, out=tmp_path / "run", model=model, data=data)
    with pytest.raises(ConfigError, match="no run directory"):
        train(config, out=tmp_path / "nothing", resume=True, model=model, data=data)


def test_the_backbone_is_left_as_it_was(config, net, model, data, tmp_path) -> None:
    before = {name: value.clone() for name, value in net.state_dict().items()}
    flags = [(module.training, [p.requires_grad for p in module.parameters()]) for module in net.modules()]
    train(config, out=tmp_path / "run", model=model, data=data)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert flags == [(module.training, [p.requires_grad for p in module.parameters()]) for module in net.modules()]
    assert all(p.grad is None for p in net.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in net.modules())


def test_none_wins_where_the_prompt_only_harms(config, model, data, tmp_path) -> None:
    config = config.with_values(optimizer="sgd", lr=1e-6, blend="over", template="full", epochs=1)
    result = train(config, out=tmp_path / "run", model=model, data=data)
    assert result.best == "none"
    assert result.accuracy["prompt_png"] == result.accuracy["no_prompt"]
    prompt = pixprompt.load(tmp_path / "run/prompt.png")
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert np.array_equal(prompt.apply(image), image)
    assert any("empty" in note for note in result.notes)


def test_normalized_space_reports_what_the_file_loses(config, model, data, tmp_path) -> None:
    config = config.with_values(space="normalized", start="normal", optimizer="sgd", lr=20.0, epochs=6)
    result = train(config, out=tmp_path / "run", model=model, data=data)
    assert result.max_pixel_difference is None
    assert result.accuracy["prompt_float"].val != result.accuracy["prompt_png"].val
    assert any("Unclamped" in note for note in result.notes)


def test_none_competes_with_the_file_not_with_the_unclamped_prompt(config, model, data, tmp_path) -> None:
    """Over many starts the unclamped prompt often validates better than its own file; the file has to win."""
    for seed in range(4):
        settings = config.with_values(space="normalized", start="normal", optimizer="sgd", lr=40.0, epochs=2, seed=seed)
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
    asked = []

    def scores(images: torch.Tensor) -> torch.Tensor:
        asked.append(len(images))
        return torch.from_numpy(np.zeros((len(images), 6), np.float32))

    model = as_model(scores, image_size=(16, 16), name="closed")
    probes = len(asked)
    with pytest.raises(AccessError, match="needs GRADIENTS access, but closed offers SCORES"):
        train(config, out=tmp_path / "run", model=model, data=data)
    assert len(asked) == probes


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
        ({"space": "normalized", "blend": "over"}, "blend 'add'"),
        ({"opacity": "much", "blend": "over"}, "opacity"),
        ({"device": "nonsense"}, "device"),
    ],
)
def test_settings_that_make_no_sense(values, message, config, model, data, tmp_path) -> None:
    with pytest.raises(ConfigError, match=message):
        train(config.with_values(**values), out=tmp_path / "run", model=model, data=data)
