"""`pixprompt report`: its options, its one JSON object, its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixprompt.cli import main

from .toy import Toy


@pytest.fixture
def trained(toy: Toy, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(toy.train("run", "--epochs", "1")) == 0
    capsys.readouterr()
    return Path("run")


def test_a_page_is_written_and_told(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["report", "run", "--out", "pages/r.html", "--images", "9", "--device", "cpu", "--json"]
    assert main(arguments) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["bytes"] == Path("pages/r.html").stat().st_size
    assert output["out"] == str(Path("pages/r.html").absolute())
    assert output["runs"] == ["run"]
    assert output["queries"] == 1 + 9 + 12  # on loading; once, because the prompt is empty; maps before and after
    assert list(output["skipped"]["run"]) == ["points"]  # 9 images are too few for t-SNE
    assert "pixprompt report" in Path("pages/r.html").read_text("utf-8")


def test_without_a_model_the_reason_is_on_stderr(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "run", "--no-model"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("report   report.html (")
    assert "0 queries" in captured.out
    assert "run: no model: no model was queried (--no-model)." in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "is no run directory"),
        (["."], "none of the files of a run"),
        ([], "RUN"),
        (["run", "--images", "0"], "--images"),
        (["run", "run"], "named twice"),
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
    assert main(["report", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert not Path("report.html").exists()


def test_a_place_that_cannot_be_written_is_named(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "run", "--no-model", "--out", "run/config.json/r.html"]) == 1
    assert "cannot create the folder" in capsys.readouterr().err
