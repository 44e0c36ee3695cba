"""`pixprompt pictures`: its options, its one JSON object, its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixprompt.cli import main

from .toy import Toy

_VIT = """
import torch
from timm.models.vision_transformer import VisionTransformer

generator = torch.Generator().manual_seed(5)
vit = VisionTransformer(img_size=16, patch_size=4, embed_dim=24, depth=2, num_heads=3, num_classes=6)
with torch.no_grad():
    for tensor in vit.parameters():
        tensor.copy_(0.25 * torch.randn(tensor.shape, generator=generator))
"""


@pytest.fixture
def trained(toy: Toy, capsys: pytest.CaptureFixture[str]) -> Path:
    """A run of a probe, made by the commands alone."""
    with open(f"{toy.module}.py", "a") as file:
        file.write(_VIT)
    settings = [*("--method", "linear", "--epochs", "1", "--precision", "fp32", "--device", "cpu")]
    assert main(["train", "--model", toy.model("vit"), "--data", toy.data, *settings, "--out", "runs/probe"]) == 0
    capsys.readouterr()
    return Path("runs/probe")


def test_pictures_are_written_and_told(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["pictures", str(trained), "--device", "cpu", "--images", "2", "--points", "15"]
    assert main([*arguments, "--out", "drawn", "--json"]) == 0
    captured = capsys.readouterr()
    payload = json.loads(captured.out)
    assert [Path(name).name for name in payload["files"]] == ["gradcam.png", "tsne.png"]
    assert all(Path(name).read_bytes().startswith(b"\x89PNG") for name in payload["files"])
    assert (payload["schema"], payload["runs"], payload["points"], len(payload["images"])) == (1, ["linear"], 15, 2)
    assert payload["silhouette"]["linear"] == pytest.approx(payload["silhouette"]["frozen backbone"])
    assert payload["skipped"] == {"similarity.png": "no run has a map of prompts."}
    assert "pictures: features: 30 images" in captured.err
    assert main([*arguments, "--out", "again"]) == 0
    captured = capsys.readouterr()
    assert str(Path("again/tsne.png")) in captured.out
    assert f"{payload['silhouette']['linear']:.3f}" in captured.out
    assert "no similarity.png: no run has a map of prompts." in captured.err
    assert main([*arguments, "--out", "again"]) == 2
    assert "again is not empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none", "--out", "o"], "is no run directory"),
        (["none"], "--out"),
        (["--out", "o"], "RUN"),
        (["none", "--out", "o", "--images", "0"], "--images"),
        (["none", "none", "--out", "o"], "named twice"),
    ],
)
def test_wrong_usage(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["pictures", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert not Path("o").exists()


def test_a_run_outside_the_model_is_refused(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(toy.train("run", "--epochs", "1")) == 0
    capsys.readouterr()
    assert main(["pictures", "run", "--out", "o"]) == 2
    assert "learns nothing inside the model" in capsys.readouterr().err
