"""`pixprompt study`: what it prints, what it leaves, and wrong use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixprompt.cli import main

from .toy import OPTIONS, Toy


def arguments(toy: Toy, kind: str, *options: str) -> list[str]:
    return [
        "study",
        kind,
        "--model",
        toy.model(),
        "--data",
        toy.data,
        *OPTIONS,
        "--epochs",
        "1",
        "--out",
        "s",
        *options,
    ]


def test_a_study_prints_its_table_and_continues(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(toy, "sizes", "--values", "2;3")) == 0
    first = capsys.readouterr().out
    assert first.startswith("| run | no prompt |")
    assert "| padding 2 |" in first
    assert sorted(path.name for path in Path("s").iterdir()) == ["plot.png", "results.jsonl", "runs", "table.md"]
    written = {path: path.stat().st_mtime_ns for path in Path("s/runs").rglob("result.json")}
    Path("values.txt").write_text("2\n3\n\n")
    assert main(arguments(toy, "sizes", "--values", "values.txt", "--json")) == 0
    output = json.loads(capsys.readouterr().out)
    assert (output["schema"], output["study"], len(output["runs"])) == (1, "sizes", 2)
    assert {path: path.stat().st_mtime_ns for path in Path("s/runs").rglob("result.json")} == written


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("colours", (), "colours"),
        ("sizes", ("--values", " ; "), "nothing to vary"),
        ("sizes", ("--values", "2;x"), "whole number"),
        ("sizes", ("--values", ";".join(300 * "x")), "whole number"),
        ("text", ("--values", "no braces"), "one {}"),
        ("sizes", ("--epochs", "-1"), "epochs"),
    ],
)
def test_wrong_use_is_told(
    kind: str, options: tuple[str, ...], words: str, toy: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(toy, kind, *options)) == 2
    assert words in capsys.readouterr().err
    assert not Path("s/runs").exists()
