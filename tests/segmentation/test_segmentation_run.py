"""Runs: what they leave, resuming, the file that is scored, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from pixprompt.core import ConfigError, ModelError, PixpromptError, PromptError
from pixprompt.engine.progress import Silent
from pixprompt.models import load_model
from pixprompt.segmentation import METHODS, SegmentConfig, evaluate, load_segmenter, train

from ..engine.toy import history
from .toy import numbers, shapes, toy_config, toy_weights


class Stops(Silent):
    """Interrupts a run after some epochs."""

    def __init__(self, after: int) -> None:
        self.after = after

    def epoch(self, line: Mapping[str, float]) -> None:
        self.after -= 1
        if self.after == 0:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def blank_curves(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Leaves the curves blank, but in the test that looks at them: drawing takes most of a small run's time."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr("pixprompt.segmentation.run.draw_curves", lambda path, history: path.write_bytes(b""))


@pytest.fixture
def drawn() -> None:
    """Asks for the real curves."""


def test_the_curves_are_drawn(tmp_path: Path, drawn: None) -> None:
    train(toy_config(tmp_path, epochs=1), out=tmp_path / "run")
    with Image.open(tmp_path / "run/curves.png") as picture:
        assert min(picture.size) > 200


@pytest.mark.parametrize("method", METHODS)
def test_a_run_leaves_what_it_reports(tmp_path: Path, method: str) -> None:
    config = toy_config(tmp_path, method=method, epochs=1, multi_scale=method == "vpt-deep")
    result = train(config, out=tmp_path / "run")
    files = {"adapter.safetensors", "checkpoint", "config.json", "curves.png", "history.jsonl", "result.json"}
    assert {path.name for path in (tmp_path / "run").iterdir()} == files
    assert json.loads((tmp_path / "run/result.json").read_text()) == json.loads(json.dumps(result))
    assert result["counts"] == {"train": 6, "val": 2, "test": 3}
    counts = result["parameters"]
    assert counts["tuned"] == counts["inner"] + counts["head"]
    assert counts["share"] == counts["tuned"] / counts["backbone"]
    with safe_open(tmp_path / "run/adapter.safetensors", "pt") as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert sum(value.numel() for value in stored.values()) == counts["tuned"]
    again = evaluate(tmp_path / "run", multi_scale=config.multi_scale, device="cpu")
    assert again["test"] == result["test"]
    assert (result["test"]["multi_scale"] is not None) == config.multi_scale


def test_a_run_that_was_stopped_ends_as_if_it_never_had(tmp_path: Path) -> None:
    config = toy_config(tmp_path, method="vpt-deep", auxiliary=True, photometric=True, lr=0.05)
    whole = train(config, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(config, out=tmp_path / "parts", reporter=Stops(2))
    assert not (tmp_path / "parts/result.json").exists()
    resumed = train(SegmentConfig(), out=tmp_path / "parts", resume=True)
    assert numbers(resumed) == numbers(whole)
    assert history(tmp_path / "parts") == history(tmp_path / "whole")
    assert resumed["best"]["epoch"] > 0
    saved = [(tmp_path / name / "adapter.safetensors").read_bytes() for name in ("whole", "parts")]
    assert saved[0] == saved[1]


def test_the_number_of_threads_and_the_global_seed_do_not_matter_but_the_seed_does(tmp_path: Path) -> None:
    first = train(toy_config(tmp_path, epochs=1, workers=1), out=tmp_path / "1")
    with torch.random.fork_rng():
        torch.random.manual_seed(77)
        second = train(toy_config(tmp_path, epochs=1, workers=4), out=tmp_path / "2")
    assert numbers(first) == numbers(second)
    other = train(toy_config(tmp_path, epochs=1, seed=1), out=tmp_path / "3")
    assert history(tmp_path / "3") != history(tmp_path / "1")
    assert other["counts"] == first["counts"]


def test_the_best_epoch_is_kept_not_the_last(tmp_path: Path) -> None:
    result = train(toy_config(tmp_path, epochs=6, lr=0.3), out=tmp_path / "run")
    lines = history(tmp_path / "run")
    ranks = [(line["val_miou"], line["val_accuracy"]) for line in lines]
    assert result["best"]["epoch"] == 1 + ranks.index(max(ranks))
    saved = load_segmenter(tmp_path / "run")
    with safe_open(tmp_path / "run/checkpoint/state.safetensors", "pt") as file:
        assert torch.equal(saved.segmenter.head.bias, file.get_tensor("best/head.bias"))
        assert result["best"]["epoch"] == 6 or not torch.equal(
            saved.segmenter.head.bias, file.get_tensor("now/head.bias")
        )


def test_a_finished_run_is_not_run_again_and_a_folder_with_files_is_refused(tmp_path: Path) -> None:
    config = toy_config(tmp_path, epochs=1)
    result = train(config, out=tmp_path / "run")
    written = (tmp_path / "run/adapter.safetensors").stat().st_mtime_ns
    assert train(config, out=tmp_path / "run", resume=True) == json.loads(json.dumps(result))
    assert (tmp_path / "run/adapter.safetensors").stat().st_mtime_ns == written
    with pytest.raises(ConfigError, match="is not empty"):
        train(config, out=tmp_path / "run")
    (tmp_path / "run/result.json").write_text("{}")
    with pytest.raises(PixpromptError, match=r"result\.json is damaged"):
        train(config, out=tmp_path / "run", resume=True)


# The file and its backbone -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    train(toy_config(folder, epochs=1, auxiliary=True), out=folder / "run")
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy, which may be damaged; its backbone is where it was."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path / "run"


def test_another_backbone_is_refused_with_the_reason(run: Path, finished: Path) -> None:
    other = toy_weights(run.parent, seed=1)
    with pytest.raises(PromptError, match=r"has .{12}\. Its numbers mean nothing there"):
        load_segmenter(run, weights=str(other))
    with pytest.raises(PromptError, match="was learned on timm:toy_segmentation_vit whose weights have the digest"):
        load_segmenter(run, model="timm:toy_segmentation_vit", weights=str(other))
    (finished / "weights0.safetensors").rename(finished / "moved.safetensors")
    try:
        with pytest.raises(ModelError, match="cannot read the weights"):
            load_segmenter(run)
    finally:
        (finished / "moved.safetensors").rename(finished / "weights0.safetensors")
    assert load_segmenter(run, weights=str(run.parent / "weights0.safetensors")).classes == shapes().CLASSES


def test_a_model_at_hand_is_used(run: Path) -> None:
    model = load_model("timm:toy_segmentation_vit", weights=run.parent / "weights0.safetensors")
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(load_segmenter(run, net=model).segmenter(images), load_segmenter(run).segmenter(images))


def test_other_files_are_refused(run: Path) -> None:
    with pytest.raises(PromptError, match="is missing; give a finished run"):
        load_segmenter(run.parent)
    with pytest.raises(PromptError, match="is no adapter"):
        load_segmenter(run.parent / "weights0.safetensors")
    with pytest.raises(PromptError, match="no segmentation of schema 1"):
        load_segmenter(run / "checkpoint/state.safetensors")
    content = (run / "adapter.safetensors").read_bytes()
    (run / "adapter.safetensors").write_bytes(content.replace(b'\\"tokens\\": 3', b'\\"tokens\\": 4'))
    with pytest.raises(PromptError, match="is damaged"):
        load_segmenter(run)


def test_a_checkpoint_of_other_images_is_refused(tmp_path: Path) -> None:
    config = toy_config(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(config, out=tmp_path / "run", reporter=Stops(1))
    image = sorted((tmp_path / "set/images/training").iterdir())[0]
    image.write_bytes(image.read_bytes() + b"\0")
    with pytest.raises(ConfigError, match="was started with other images, classes or weights"):
        train(config, out=tmp_path / "run", resume=True)


def test_a_data_set_of_other_classes_is_refused(run: Path, finished: Path) -> None:
    (finished / "set/objectInfo150.txt").rename(finished / "moved.txt")
    try:
        with pytest.raises(ConfigError, match=r"knows 5 classes, .* has 150"):
            evaluate(run, device="cpu")
    finally:
        (finished / "moved.txt").rename(finished / "set/objectInfo150.txt")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"data": ""}, "--data is missing"),
        ({"model": ""}, "--model is missing"),
        ({"crop": 20}, "not made of whole patches"),
        ({"val_images": 8}, "leave none to train on"),
        ({"device": "abacus"}, "device 'abacus' is not available"),
    ],
)
def test_wrong_settings_leave_no_folder(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        train(toy_config(tmp_path, **values), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"momentum": 1.0}, "momentum must be at least 0 and below 1"),
        ({"method": "vpt-deeep"}, "Did you mean 'vpt-deep'"),
        ({"tokens": True}, "tokens must be a whole number"),
        ({"auxiliary": 1}, "auxiliary must be true or false"),
        ({"chanels": 1}, "unknown setting 'chanels'. Did you mean 'channels'"),
        ([], "expected a JSON object"),
    ],
)
def test_wrong_values_are_told(values: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SegmentConfig.from_json(values, source="x.json")


def test_a_loss_that_explodes_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"loss of epoch \d is not finite; a lower --lr than 1e\+30"):
        train(toy_config(tmp_path, lr=1e30), out=tmp_path / "run")
