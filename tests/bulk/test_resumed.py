"""`pixprompt apply --resume`: what an earlier call has written stays, and another prompt is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixprompt.cli import main

from ..images import files, make_prompt, picture


@pytest.fixture
def began(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder with five images, whose results are in `out` but for the last two."""
    (tmp_path / "in/b").mkdir(parents=True)
    for number in range(5):
        picture(seed=number).save(tmp_path / "in" / ("b" if number == 4 else ".") / f"{number}.jpg")
    make_prompt().save(tmp_path / "p.png")
    assert main(arguments(tmp_path)) == 0
    capsys.readouterr()
    (tmp_path / "out/3.png").unlink()
    (tmp_path / "out/b/4.png").unlink()
    return tmp_path


def arguments(folder: Path, *options: str) -> list[str]:
    return ["apply", str(folder / "p.png"), str(folder / "in"), "--out", str(folder / "out"), *options]


def test_what_is_there_is_not_written_again(began: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: (began / "out" / name).stat().st_mtime_ns for name in files(began / "out")}
    assert main(arguments(began, "--resume", "--json")) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["written"], result["skipped"]) == (2, 3)
    assert files(began / "out") == ["0.png", "1.png", "2.png", "3.png", "b/4.png"]
    assert {name: (began / "out" / name).stat().st_mtime_ns for name in before} == before
    assert main(arguments(began, "--resume")) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "5 were there already"


@pytest.mark.parametrize("change", ["prompt", "image"])
def test_results_of_another_prompt_or_image_are_not_continued(
    change: str, began: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if change == "prompt":
        make_prompt(seed=1).save(began / "p.png")
    else:
        picture(seed=9).save(began / "in/0.jpg")
    assert main(arguments(began, "--resume")) == 2
    assert "does not continue the one that wrote it" in capsys.readouterr().err
    assert files(began / "out") == ["0.png", "1.png", "2.png"]


def test_without_it_everything_is_written_again(began: Path) -> None:
    make_prompt(seed=1).save(began / "p.png")
    before = (began / "out/0.png").read_bytes()
    assert main(arguments(began)) == 0
    assert (began / "out/0.png").read_bytes() != before
