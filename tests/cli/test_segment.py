"""`pixprompt segment`: what its commands print and leave, and wrong use."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixprompt.cli import main
from pixprompt.segmentation.pictures import palette

from ..images import files, picture
from ..segmentation.toy import FAST, toy_config


def command(name: str, *options: str) -> list[str]:
    return ["segment", name, *options]


def training(folder: Path, *options: str) -> list[str]:
    config = toy_config(folder, epochs=1).to_json()
    names = ("model", "weights", "data", *FAST)
    arguments = [word for name in names for word in (f"--{name.replace('_', '-')}", str(config[name]))]
    return command("train", *arguments, "--out", str(folder / "run"), *options)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(training(tmp_path)) == 0
    capsys.readouterr()
    return tmp_path / "run"


@pytest.mark.slow
def test_training_prints_its_scores_and_its_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(training(tmp_path, "--auxiliary", "--multi-scale")) == 0
    printed = capsys.readouterr()
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert "epoch 1: train loss " in printed.err
    assert "val mIoU " in printed.err
    assert f"single scale  {result['test']['single_scale']['miou']:7.3f}" in printed.out
    assert f"multi scale   {result['test']['multi_scale']['miou']:7.3f}" in printed.out
    counts = result["parameters"]
    assert f"{counts['inner']} inside and {counts['head']} in the head" in printed.out
    assert json.loads((tmp_path / "run/config.json").read_text())["auxiliary"] is True


def test_json_is_one_object_and_a_saved_configuration_repeats_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(training(tmp_path, "--json")) == 0
    first = json.loads(capsys.readouterr().out)
    again = command("train", "--config", str(tmp_path / "run/config.json"), "--out", str(tmp_path / "again"), "--json")
    assert main(again) == 0
    second = json.loads(capsys.readouterr().out)
    assert second["test"] == first["test"]
    assert main(command("train", "--resume", str(tmp_path / "run"), "--json")) == 0
    assert json.loads(capsys.readouterr().out) == first


@pytest.mark.slow
def test_evaluate_scores_as_training_did(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = json.loads((run / "result.json").read_text())
    assert main(command("evaluate", str(run), "--device", "cpu", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["test"] == result["test"]
    assert main(command("evaluate", str(run), "--device", "cpu", "--multi-scale")) == 0
    assert "multi scale" in capsys.readouterr().out


def test_predict_writes_labels_and_overlays(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = run.parent / "photos"
    (inputs / "deep").mkdir(parents=True)
    picture(61, 43).save(inputs / "a.png")
    picture(30, 90, seed=1).save(inputs / "deep/b.jpg")
    out = run.parent / "labelled"
    assert main(command("predict", str(run), str(inputs), "--out", str(out), "--opacity", "0.25", "--json")) == 0
    output = json.loads(capsys.readouterr().out)
    assert (output["written"], output["failed"], len(output["classes"])) == (2, [], 5)
    assert files(out) == ["a-labels.png", "a-overlay.png", "deep/b-labels.png", "deep/b-overlay.png"]
    labels, opened = Image.open(out / "a-labels.png"), Image.open(out / "a-overlay.png")
    assert (labels.mode, labels.size, opened.size) == ("P", (61, 43), (61, 43))
    values = np.array(labels)
    assert set(np.unique(values)) <= set(range(1, 6))  # as annotation files count, where 0 is none
    assert np.array_equal(np.array(labels.convert("RGB")), palette()[values])
    mixed = 0.75 * np.array(picture(61, 43)) + 0.25 * palette()[values]
    assert abs(np.array(opened) - mixed).max() <= 1


def test_images_that_cannot_be_read_are_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture().save(run.parent / "a.png")
    (run.parent / "b.png").write_text("no picture")
    out = run.parent / "labelled"
    assert (
        main(command("predict", str(run), str(run.parent / "a.png"), str(run.parent / "b.png"), "--out", str(out))) == 1
    )
    printed = capsys.readouterr()
    assert "1 images labelled" in printed.out
    assert "b.png" in printed.err
    assert files(out) == ["a-labels.png", "a-overlay.png"]


def test_an_input_is_never_overwritten(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "a-overlay.png"):
        picture().save(run.parent / name)
    inputs = [str(run.parent / name) for name in ("a.png", "a-overlay.png")]
    assert main(command("predict", str(run), *inputs, "--out", str(run.parent))) == 2
    assert "is an input and would be overwritten" in capsys.readouterr().err


def test_colours_are_all_different() -> None:
    assert len({tuple(color) for color in palette().tolist()}) == 256
    assert palette()[0].tolist() == [0, 0, 0]
    assert palette()[1:4].tolist() == [[128, 0, 0], [0, 128, 0], [128, 128, 0]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("train", "--data", "ade20k:x"), "--model is missing"),
        (("train", "--resume", "x", "--lr", "1"), "takes no other option"),
        (("train", "--resume", "x"), "is no run of 'pixprompt segment train'"),
        (("train", "--config", "x.json"), "is no file of settings"),
        (("train", "--method", "linear"), "--method"),
        (("evaluate", "x"), "is no run of"),
        (("predict", "x", "--out", "y"), "INPUTS"),
    ],
)
def test_wrong_use_is_told(
    options: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command(*options)) == 2
    assert words in capsys.readouterr().err
    assert files(tmp_path) == []
