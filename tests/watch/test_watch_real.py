"""A watch over a real classifier behind HTTP: a day of quiet rounds, and the alarm when another one takes its place."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pixprompt.canvas import Canvas
from pixprompt.cli import main
from pixprompt.core import AnswerKind
from pixprompt.models import load_model
from pixprompt.outputs import make_output
from pixprompt.prompt import Committee
from pixprompt.serving import Server, Service
from pixprompt.views import Pattern, View

MODELS = {
    "torchvision:resnet18/IMAGENET1K_V1": "resnet18.safetensors",
    "torchvision:mobilenet_v2/IMAGENET1K_V1": "mobilenet_v2.safetensors",
}
pytestmark = [pytest.mark.assets, pytest.mark.slow]


@pytest.mark.parametrize("answer", ["logits", "probabilities"])
def test_24_quiet_rounds_and_an_alarm_when_resnet_18_becomes_mobilenet_v2(
    answer: str, assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    models = [load_model(name, weights=assets / "weights" / file) for name, file in MODELS.items()]
    view = View(size=0.8, frame=Pattern((0, 0, 0)))
    prompt = view.prompt(Canvas.for_model(models[0].spec))
    with Server(Service(models[0], name="net", answer=AnswerKind(answer))) as server:
        spec = replace(models[0].spec, answer=AnswerKind(answer))
        output = make_output("first-k", classes=("a", "b"), spec=spec).to_json()
        Committee((prompt,), output=output, model=server.url).save("p.png")
        command = [
            "watch",
            "p.png",
            str(assets / "data/imagenet-samples"),
            "--model",
            server.url,
            "--every",
            "0s",
            "--num",
            "24",
        ]
        assert main([*command, "--rounds", "24", "--json"]) == 0
        quiet = json.loads(capsys.readouterr().out)["rounds"]
        assert len(quiet) == 24
        assert {one["p_value"] for one in quiet} == {1.0}
        server.service.model = models[1]  # type: ignore[attr-defined]
        assert main([*command, "--rounds", "1", "--json"]) == 6
        (alarm,) = json.loads(capsys.readouterr().out)["rounds"]
        assert alarm["alarm"]
        assert alarm["round"] == 25
        assert alarm["p_value"] < 1e-5
    sys.stdout.write(f"{answer}: {alarm}\n")
