"""`pixprompt diagnose`: the printed table, the one JSON object, exit codes; and real images with real models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pixprompt.cli import main
from pixprompt.cli.learning.diagnose import format_diagnosis
from pixprompt.diagnostics.features import inception_file

from .toy import COUNTS, Toy

LEAN = ("--inception", "none", "--lpips", "none", "--device", "cpu", "--workers", "0")


def arguments(toy: Toy, *options: str) -> list[str]:
    return ["diagnose", "--data", toy.data, "--reference", toy.data, *LEAN, *options]


def test_prints_numbers_model_and_advice(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(toy, "--model", toy.model(), "--labelled", "4", "--out", "run/diagnosis.json")) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].split() == ["data", toy.data, f"({sum(COUNTS.values())}", "images)"]
    for start in ("no fid: left out on request", "no lpips", "no prompt", "linear head", "advice", "expected"):
        assert any(line.startswith(start) for line in lines), start
    payload = json.loads(Path("run/diagnosis.json").read_text())
    assert payload["advice"]["verdict"].upper() in captured.out
    assert f"{payload['model']['accuracy']:.3f}" in captured.out
    assert max(map(len, lines[lines.index("") :])) < 240


def test_prints_exactly_one_json_object(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(toy, "--model", toy.model("scores"), "--labelled", "3", "--budget", "40", "--json")) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["schema"] == 1
    assert output["model"]["queries"] <= 40
    assert not output["model"]["gradients"]
    assert output["advice"]["verdict"] == "no-go"


def test_weights_are_fetched_with_consent_only(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIXPROMPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PIXPROMPT_INCEPTION", raising=False)
    monkeypatch.setattr(inception_file, "find_spec", lambda name: None)
    monkeypatch.setattr(inception_file, "URL", (tmp_path / "gone.pth").as_uri())
    options = ["diagnose", "--data", toy.data, "--reference", toy.data, *LEAN[2:]]
    assert main(options) == 0
    assert "`pixprompt diagnose --fetch` downloads one" in capsys.readouterr().out
    assert main([*options, "--fetch"]) == 1
    assert f"place it at {tmp_path / 'cache' / 'weights' / 'gone.pth'}" in capsys.readouterr().err


def test_limit_and_seed_choose_images(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(toy, "--limit", "10", "--json")) == 0
    output = json.loads(capsys.readouterr().out)
    assert (output["data"]["n"], output["reference"]["n"], output["seed"]) == (10, 10, 0)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--model", "rn51"), 2, "Did you mean"),
        (("--weights", "x.pt"), 2, "--model"),
        (("--limit", "0"), 2, "--limit"),
        (("--model", "rn50", "--budget", "3"), 2, "budget of 3"),
        (("--inception", "missing.pt"), 1, "missing.pt"),
        (("--lpips", "missing.pt"), 1, "missing.pt"),
        (("--clip", "no-clip"), 2, "no-clip"),
    ],
)
def test_wrong_use_is_told(
    options: tuple[str, ...], code: int, words: str, toy: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments(toy), *options]) == code
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""


def test_numbers_are_printed_with_what_they_were_taken_in() -> None:
    about = {"extractor": "inception-2015", "dtype": "float32", "resize": "bilinear", "n": 60, "n_reference": 70}
    number = {"value": 12.3456, "ci95": [11.0, 13.5], "floor": 3.21, **about}
    results: dict[str, Any] = {
        "data": {"name": "A", "n": 60},
        "reference": {"name": "B", "n": 70},
        "headline": "kid",
        "fid": {**number, "note": "biased"},
        "kid": {**number, "value": 0.01},
        "cmmd": None,
        "lpips": {"mean": 0.5, "ci95": [0.4, 0.6], "pairs": 9, "images": 60, "extractor": "lpips-0.1-alex",
                  "dtype": "float32", "canvas": "64x64, bicubic"},
        "coverage": {"classes": 0.125, "num_classes": 8, "images": 0.1, "covered": 0.25, "within": 0.75, **about},
        "frechet_toy": {**number, "extractor": "toy"},
        "model": None,
        "reasons": {"cmmd": "no CLIP extractor was named"},
        "advice": {"verdict": "no-go", "queries": None, "expected_gain": 1.0, "interval": [0.0, 2.0], "level": 0.8,
                   "over": "no prompt", "reasons": ["Because of this."], "missing": []},
    }  # fmt: skip
    text = "\n".join(format_diagnosis(results))
    assert "0.125" in text
    assert "of its 8 classes are nearest" in text
    for words in ("KID *", "12.35", "11 to 13.5", "3.21", "60 against 70 images", "9 pairs of 60 images",
                  "resize, inception-2015: bilinear", "resize, toy: bilinear", "resize, lpips: canvas 64x64",
                  "note: biased", "no cmmd: no CLIP", "advice     NO-GO", "- Because of this."):  # fmt: skip
        assert words in text
    assert "Frechet" in text  # and not FID: the features are not Inception's
    assert text.count("FID") == 1


@pytest.mark.assets
@pytest.mark.slow
@pytest.mark.parametrize("folder", ["cifar10", "flowers5"])
def test_real_images_with_a_real_model(folder: str, assets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """60 images of each; few, so that only what is certain is asserted: far from the floor, and no "go"."""
    clip = f"open_clip:local-dir:{assets / 'weights/mini-clip-vit-ti16'}"
    options = ["--model", clip, "--clip", clip, "--inception", "none", "--limit", "60", "--pairs", "300",
               "--lpips", str(assets / "weights/lpips_alex_v0.1.safetensors")]  # fmt: skip
    reference = str(assets / "data/imagenet-samples")
    assert main(["diagnose", "--data", f"folder:{assets / 'data' / folder}", "--reference", reference, "--json",
                 "--device", "cpu", *options]) == 0  # fmt: skip
    output = json.loads(capsys.readouterr().out)
    assert output["headline"] == "cmmd"
    assert output["cmmd"]["value"] > 5 * output["cmmd"]["floor"]
    assert 0.3 < output["lpips"]["mean"] < 0.7
    assert output["model"]["head"] > output["model"]["accuracy"] - 0.1
    assert output["advice"]["verdict"] in ("try", "no-go")
    assert "Train the output transform" in output["advice"]["reasons"][0]
