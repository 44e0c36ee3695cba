"""`train --student` and `predict --student-first`, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixprompt.cli import main

from .toy import Toy


def test_a_student_is_learned_and_answers_first(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--budget", "150", "--method", "none", "--size", "4", "--output", "ridge", "--predictions", "100000"]
    command = ["train", "--model", toy.model("scores"), "--data", toy.data, *options, "--out", "run"]
    assert main([*command, "--student", toy.model("wide")]) == 0
    out = capsys.readouterr().out
    assert "student alone" in out
    assert "student  run/student.safetensors" in out
    assert json.loads(Path("run/result.json").read_text())["student"]["first"]["threshold"] is not None
    photos = [str(path) for path in toy.images("test")]
    assert main(["predict", "run", *photos, "--student-first", "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert len(output["predictions"]) == len(photos)
    assert output["queries"] < len(photos)
    assert main(["predict", "run/prompt.png", *photos, "--model", toy.model("scores"), "--student-first"]) == 2
    assert "has no student" in capsys.readouterr().err
    assert main(["predict", "run", *photos, "--student-first", "--no-prompt"]) == 2
    assert "leave out --student-first" in capsys.readouterr().err
