"""Files of a run that a crash, a full disk or somebody's editor has damaged: each is named, nothing is unexpected."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pixprompt.cli import main

from .toy import Toy

Damage = Callable[[Path], object]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _deep(path: Path) -> None:
    path.write_text("[" * 200_000)


def _not_a_number(path: Path) -> None:
    values = json.loads(path.read_text())
    values["seed"] = float("nan")
    path.write_text(json.dumps(values))


def _list(path: Path) -> None:
    path.write_text("[1, 2]")


def _words(path: Path) -> None:
    values = json.loads(path.read_text())
    path.write_text(json.dumps({name: "words" for name in values}))


def _other_tensors(path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, path, metadata={"values": "{}"})


def _noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 8)


VIT = """
import torch
from timm.models.vision_transformer import VisionTransformer

generator = torch.Generator().manual_seed(5)
vit = VisionTransformer(img_size=16, patch_size=4, embed_dim=24, depth=2, num_heads=3, num_classes=6)
with torch.no_grad():
    for tensor in vit.parameters():
        tensor.copy_(0.25 * torch.randn(tensor.shape, generator=generator))
"""

JSON: list[Damage] = [_cut, _deep, _not_a_number, _list, _words, _noise]
TENSORS: list[Damage] = [_cut, _other_tensors, _noise]


@pytest.fixture
def run(toy: Toy) -> Path:
    assert main([*toy.train("whole"), "--epochs", "1"]) == 0
    return Path("whole")


def _refused(command: list[str], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(command) in (1, 2), command
    message = capsys.readouterr().err
    assert name in message, message
    assert "unexpected" not in message
    assert "Traceback" not in message


def test_a_damaged_configuration(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, damage in enumerate(JSON):
        copy = Path(shutil.copytree(run, f"config{number}"))
        damage(copy / "config.json")
        _refused(["evaluate", str(copy)], "config", capsys)
        _refused(["train", "--config", str(copy / "config.json"), "--out", "new"], "config.json", capsys)
        (copy / "result.json").unlink()
        _refused(["train", "--resume", str(copy)], "config", capsys)


def test_a_damaged_result(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, damage in enumerate(JSON):
        copy = Path(shutil.copytree(run, f"result{number}"))
        damage(copy / "result.json")
        _refused(["train", "--resume", str(copy)], "result.json", capsys)


def test_a_damaged_checkpoint(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, damage in enumerate(TENSORS):
        copy = Path(shutil.copytree(run, f"state{number}"))
        (copy / "result.json").unlink()
        damage(copy / "checkpoint/state.safetensors")
        _refused(["train", "--resume", str(copy)], "state.safetensors", capsys)


def test_a_damaged_adapter(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    with open(f"{toy.module}.py", "a") as file:
        file.write(VIT)
    run = Path("whole")
    assert main(["train", "--model", toy.model("vit"), "--data", toy.data, "--method", "linear", "--epochs", "1",
                 "--out", "whole"]) == 0  # fmt: skip
    for number, damage in enumerate(TENSORS):
        copy = Path(shutil.copytree(run, f"adapter{number}"))
        damage(copy / "adapter.safetensors")
        _refused(["evaluate", str(copy)], "adapter.safetensors", capsys)
