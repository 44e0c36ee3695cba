"""The history of a run in TensorBoard and in Weights & Biases, read back by their own readers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pixprompt.engine import Silent
from pixprompt.engine.result import Result, Score
from pixprompt.engine.trackers import Tracked

HISTORY = [
    {"epoch": 1, "train_loss": 2.0, "val_accuracy": 0.25, "seconds": 1.5},
    {"epoch": 2, "train_loss": 1.0, "val_accuracy": 0.75, "seconds": 3.0},
]


def result() -> Result:
    scores = {"no_prompt": Score(0.5, 0.25, (0.2, 0.3), "linear"), "prompt_float": None}
    return Result("pixel", "m", "d", ("a", "b"), {}, 1, 0, scores, {})  # type: ignore[arg-type]


def test_tensorboard_reads_the_history_and_the_ladder(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracked = Tracked(Silent(), ["tensorboard"], tmp_path, {"lr": 0.1})
    assert list(tmp_path.iterdir()) == []
    for line in HISTORY:
        tracked.epoch(line)
    tracked.result(result())
    tracked.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("train_loss")] == [(1, 2.0), (2, 1.0)]
    assert events.Scalars("no_prompt/test")[0].value == 0.25
    assert set(events.Tags()["scalars"]) == {
        *("train_loss", "val_accuracy", "seconds"),
        *("no_prompt/val", "no_prompt/test"),
    }


@pytest.mark.slow
def test_wandb_receives_the_history_offline(tmp_path: Path) -> None:
    code = """
import json, sys
from pathlib import Path
from pixprompt.engine import Silent
from pixprompt.engine.trackers import Tracked

tracked = Tracked(Silent(), ["wandb"], Path(sys.argv[1]), {"lr": 0.1})
for line in json.loads(sys.argv[2]):
    tracked.epoch(line)
tracked.close()
"""
    environment = {**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    command = [sys.executable, "-c", code, str(tmp_path), json.dumps(HISTORY)]
    subprocess.run(command, check=True, env=environment, timeout=120)
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    content = file.read_bytes()
    assert b"val_accuracy" in content
    assert b"0.75" in content


def test_history_goes_on_to_the_reporter_in_order(tmp_path: Path) -> None:
    lines: list[Any] = []

    class Lines(Silent):
        def stage(self, name: str, total: int) -> None:
            lines.append((name, total))

        def advance(self, steps: int = 1) -> None:
            lines.append(steps)

        def epoch(self, line: Any) -> None:
            lines.append(line)

        def note(self, text: str) -> None:
            lines.append(text)

    tracked = Tracked(Lines(), [], tmp_path, {})
    tracked.stage("train", 3)
    tracked.advance(2)
    tracked.note("so")
    tracked.epoch(HISTORY[0])
    assert lines == [("train", 3), 2, "so", HISTORY[0]]


def test_a_package_that_is_missing_is_told_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ModuleNotFoundError, match="wandb"):
        Tracked(Silent(), ["wandb"], tmp_path, {})
