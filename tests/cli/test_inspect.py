"""`pixprompt inspect`: a table for people, one object for programs, and no trust in the file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pixprompt.cli import main
from pixprompt.prompt import BLENDS, load

from ..images import make_prompt


@pytest.mark.parametrize("blend", BLENDS)
def test_json_is_the_metadata_of_the_file_and_what_was_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], blend: str
) -> None:
    path = tmp_path / "p.png"
    make_prompt(blend=blend).save(path)
    assert main(["inspect", str(path), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values.pop("path"), values.pop("digests")) == (str(path), "match")
    rgba = load(path).rgba
    assert values.pop("covered") == pytest.approx(sum(1 for alpha in rgba[..., 3].flat if alpha) / 32**2)
    assert values == load(path).metadata()


def test_the_table_says_what_a_reader_wants_to_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.png"
    make_prompt((40, 32), "add", crop_pct=0.875).save(path)
    assert main(["inspect", str(path)]) == 0
    rows = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines()[1:])
    rows = {name: value.strip() for name, value in rows.items()}
    assert rows["template"] == "name padding, params.size 6"
    assert rows["blend"] == "add, delta_scale 1"
    assert rows["canvas"] == "40x32 (height x width)"
    assert "crop_pct 0.875" in rows["made by"]
    assert rows["covered"].endswith("% of the canvas")
    assert (rows["model"], rows["output"]) == ("mobilenet-v2", "first-k")
    assert rows["classes"] == "3: zero, eins, zwölf"
    assert rows["metrics.prompt_png.test"] == "0.875"
    assert rows["metrics.prompt_png.ci95"] == "0.8, 0.925"


def test_a_bare_prompt_says_that_it_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.png"
    replace(make_prompt(), model="", output={}, metrics={}, template={}, version="").save(path)
    assert main(["inspect", str(path)]) == 0
    assert capsys.readouterr().out.count("not said") == 5


def test_many_classes_are_cut_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.png"
    replace(make_prompt(), output={"kind": "given", "classes": [f"c{number}" for number in range(1000)]}).save(path)
    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert "1000: c0, c1, " in out
    assert "c12" not in out


def test_odd_shapes_of_free_fields_are_shown_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.png"
    replace(make_prompt(), output={"kind": 3, "classes": 7}, metrics={"a": None, "b": [[1, 2]]}).save(path)
    assert main(["inspect", str(path)]) == 0
    assert "metrics.b" in capsys.readouterr().out


def test_a_file_cannot_write_control_characters_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.png"
    replace(make_prompt(), model="\x1b[2Jmodel\r\n", metrics={"\x07": 1}).save(path)
    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert "?[2Jmodel??" in out
    assert not set("\x1b\x07\r") & set(out)


def test_a_changed_file_is_refused_with_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.png"
    make_prompt().save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert main(["inspect", str(path), "--json"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"Error: {path}: ")
    assert main(["inspect", str(tmp_path / "none.png")]) == 1
    assert "No such file" in capsys.readouterr().err
