"""kill -9 at any moment of a run by gradients, again and again: in the end it is the run that was never stopped."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pixprompt.prompt import load

from ..engine.toy import history
from ..images import files
from ..kills import kill_often, note_kills
from .test_train import result_of
from .toy import Toy


@pytest.mark.parametrize("rounds", [pytest.param(100, marks=pytest.mark.slow)])
def test_a_run_by_gradients_that_is_killed_often_equals_one_that_is_not(toy: Toy, rounds: int) -> None:
    folder = toy.folder
    begin = toy.train("run", "--epochs", str(4 * rounds), "--lr", "0.02")
    begin[begin.index("--data") + 1] = toy.data
    plan = {
        "whole": ["whole" if word == "run" else word for word in begin],
        "begin": begin,
        "again": ["train", "--resume", "run"],
        "begun": "run/config.json",
        "ledger": "no ledger",
        "grows": "run/history.jsonl",
        "step": 60,
        "at_most": 3,
    }
    kill_often(folder, plan, rounds)
    payload = json.loads((folder / "rounds.json").read_text())
    assert (payload["whole"], payload["code"]) == (0, 0), (folder / "log.txt").read_text()[-2000:]
    kills = sum(line["killed"] for line in payload["rounds"])
    note_kills("gradients", {"rounds": kills, "epochs": 4 * rounds})
    assert kills == rounds
    assert result_of(folder / "run") == result_of(folder / "whole")
    assert history(folder / "run") == history(folder / "whole")
    assert files(folder / "run") == files(folder / "whole")
    assert (folder / "run/prompt.png").read_bytes() == (folder / "whole/prompt.png").read_bytes()
    canvas = np.full((16, 16, 3), 127, np.uint8)
    assert (load(folder / "run/prompt.png").overlay(canvas) != canvas).any()  # a prompt that is not empty
