"""A committee learned and used through `pixprompt serve`, the command as a process, with its ledger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixprompt.cli import main
from pixprompt.ledger.summary import read_ledger
from pixprompt.prompt import load_committee

from ..cli.test_serve import served
from ..cli.toy import Toy, write_toy

LOOKS = """
import torch

def framed(images: torch.Tensor) -> torch.Tensor:
    speaks = (images[:, :, :2, :2].mean((1, 2, 3)) > 0.9).float()
    red, green, blue = images[:, :, 4:-4, 4:-4].mean((2, 3)).unbind(1)
    striped = (images[:, :, 4:-4:2, 4:-4] - images[:, :, 5:-4:2, 4:-4]).abs().mean((1, 2, 3))
    return torch.stack([red - green, green - red, striped], 1) * 30 * speaks[:, None]
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    monkeypatch.chdir(tmp_path)
    toy = write_toy(tmp_path)
    (tmp_path / "looks.py").write_text(LOOKS)
    return toy


@pytest.mark.slow
def test_a_committee_is_learned_and_predicts(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    with served(toy.folder, "--model", "python:looks:framed@16", "--json") as (_, line):
        url = json.loads(line)["url"]
        options = ("--budget", "700", "--views", "3", "--cascade", "auto", "--predictions", "100000")
        command = ("train", "--model", url, "--data", toy.data, *options, "--output", "ridge", "--out", "run")
        assert main([*command, "--json"]) == 0
        result = json.loads(capsys.readouterr().out)
        ledger = read_ledger("run/ledger.sqlite")
        assert ledger["answers"] == ledger["queries"] == result["queries"]["images"] <= 700
        assert result["best"] == "prompt"
        committee = load_committee("run/prompt.png")
        assert len(committee.pages) == 3
        assert 1 < committee.cascade["per_prediction"] == result["queries"]["per_prediction"] < 3
        photos = [str(path) for path in sorted(Path(toy.data.removeprefix("folder:"), "test").rglob("*.png"))]
        used = []
        for more in ([], ["--no-cascade"]):
            assert main(["predict", "run/prompt.png", *photos, "--model", url, "--json", *more]) == 0
            output = json.loads(capsys.readouterr().out)
            hits = [line["label"] == Path(line["path"]).parent.name for line in output["predictions"]]
            assert sum(hits) / len(hits) > 0.6
            used.append(output["queries"])
        assert len(photos) <= used[0] < 3 * len(photos)
        assert sum(used) == 3 * len(photos)  # the rest is asked: what the ledger holds is not paid for twice
        assert read_ledger("pixprompt-ledger.sqlite")["queries"] == sum(used)
