"""A zero-shot endpoint learned over HTTP: the classes need not be named, and words are asked about within its limit."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixprompt.cli import main
from pixprompt.ledger.summary import read_ledger

from ..cli.toy import CLASSES, Toy, write_toy
from ..engine.zero_shot import ZeroShotToy
from .fault_server import FaultServer

ASKED: list[tuple[str, ...]] = []


def answer(body: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
    """What a zero-shot endpoint says about one image and its candidate labels."""
    payload = json.loads(body)
    labels = tuple(payload["parameters"]["candidate_labels"])
    ASKED.append(labels)
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(payload["inputs"]))).convert("RGB"))
    scores = ZeroShotToy()(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255, labels)[0]
    results = [{"label": label, "score": float(score)} for label, score in zip(labels, scores, strict=True)]
    return (
        200,
        {"Content-Type": "application/json"},
        json.dumps(sorted(results, key=lambda each: -each["score"])).encode(),
    )


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    monkeypatch.chdir(tmp_path)
    return write_toy(tmp_path)


def test_the_labels_of_a_run_are_asked_about_by_predict_too(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    Path("endpoint.json").write_text(
        json.dumps({"protocol": "huggingface-zero-shot", "image_size": 16, "options": {"max_labels": 12}})
    )
    ASKED.clear()
    with FaultServer(answer) as server:
        request = ("--model", server.url, "--endpoint", "endpoint.json")
        arguments = ("train", *request, "--data", toy.data, "--size", "4", "--method", "none", "--output", "ridge")
        assert main([*arguments, "--budget", "40", "--out", "run", "--json"]) == 0
        result = json.loads(capsys.readouterr().out)
        labels = set(ASKED)
        assert len(labels) == 1
        (named,) = labels
        assert named[:3] == CLASSES
        assert len(named) == result["queries"]["labels"] == 12
        assert read_ledger("run/ledger.sqlite")["labels_per_query"] == 12
        image = next(Path(toy.data.removeprefix("folder:")).rglob("*.png"))
        assert main(["predict", "run/prompt.png", str(image), *request]) == 0
        assert set(ASKED) == labels
        assert main(["ledger", "run"]) == 0
        assert "labels      12 in each query" in capsys.readouterr().out
