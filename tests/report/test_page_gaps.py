"""Runs that lack something, runs of another engine, several runs at once."""

from __future__ import annotations

import json
import shutil
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pixprompt.canvas import Tone
from pixprompt.core import ConfigError
from pixprompt.prompt import Committee, load
from pixprompt.report import ReportOptions, write_report
from pixprompt.report.run_files import read_runs
from pixprompt.views import Pattern, View

from .html_check import external
from .pages import SECTIONS, cells, edit, edit_settings, page, result_of, section

# What is missing -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("file", ["result.json", "config.json", "history.jsonl", "prompt.png", "preview.png"])
def test_a_file_that_is_missing_is_named(run: Path, file: str) -> None:
    (run / file).unlink()
    _, root = page(run)
    assert f"{file}: not there." in section(root, "files").words
    assert {node.attributes["aria-labelledby"] for node in root.all("section")} == SECTIONS


def test_files_that_are_damaged_are_named(run: Path) -> None:
    files = ("result.json", "config.json", "history.jsonl", "prompt.png", "preview.png", "diagnosis.json")
    for file in files:
        (run / file).write_bytes(b'{"a": ')
    text, root = page(run, options=ReportOptions(device="cpu"))
    assert external(text) == []
    words = section(root, "files").words
    assert all(file in words for file in files)
    assert words.count("cannot be read") == len(files)
    assert root.all("img") == []


@pytest.mark.usefixtures("undrawn")
def test_without_model_and_images_the_picture_of_the_run_is_shown(run: Path) -> None:
    _, root = page(run)
    assert section(root, "confusion").all("img")[0].attributes["alt"].startswith("Preview")
    assert "no model was queried (--no-model)" in section(root, "saliency").words
    assert "no model was queried (--no-model)" in section(root, "points").words
    assert len(section(root, "images").all("img")) == 12
    edit_settings(run, data="folder:/nowhere")
    _, root = page(run, options=ReportOptions(device="cpu"))
    assert "the images of the run cannot be read" in section(root, "images").words
    assert section(root, "images").all("img")[0].attributes["alt"].startswith("Preview")


@pytest.mark.usefixtures("undrawn")
def test_a_torn_history_is_read_up_to_the_tear(run: Path) -> None:
    lines = (run / "history.jsonl").read_text().splitlines()
    (run / "history.jsonl").write_text("\n".join([*lines[:2], lines[2][:20]]))
    _, root = page(run)
    assert "history.jsonl: line 3 cannot be read" in section(root, "files").words
    assert "over 2 points" in section(root, "curves").all("img")[1].attributes["alt"]


def test_a_history_of_odd_numbers_is_read_as_far_as_it_goes(run: Path) -> None:
    (run / "history.jsonl").write_text(f'{{"epoch": 1{"0" * 400}, "val_loss": 1.5}}\n{"[" * 100_000}\n')
    (files,) = read_runs([run])
    assert files.history == [{"val_loss": 1.5}]
    assert "line 2" in files.missing["history.jsonl"]


def test_runs_have_distinct_names(run: Path) -> None:
    folders = [run.parent / name for name in ("x/s/run", "y/s/run", "y/t")]
    for folder in folders:
        shutil.copytree(run, folder)
    assert [files.name for files in read_runs(folders)] == ["x/s/run", "y/s/run", "t"]


def test_a_run_by_queries_has_no_epochs_and_may_lack_scores(run: Path) -> None:
    lines = [{"queries": 100 * n, "val_loss": 1 / n, "val_accuracy": 1 - 0.5 / n} for n in range(1, 5)]
    (run / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    accuracy = result_of(run)["accuracy"]
    accuracy |= {"prompt_float": None, "prompt_png": {**accuracy["prompt_png"], "test": None, "ci95": None}}
    edit(run / "result.json", accuracy=accuracy)
    _, root = page(run)
    assert section(root, "spending").all("img")[0].attributes["alt"].endswith("87.5% after 400 queries.")
    assert "over 4 points" in section(root, "curves").all("img")[1].attributes["alt"]
    rows = cells(section(root, "ladder").all("table")[0])
    assert rows[3][1:] == ["–"] * 5
    assert rows[4][2:4] == ["–", "–"]
    assert "no test scores" in root.words


@pytest.mark.usefixtures("undrawn")
def test_odd_values_in_a_result_lose_a_section_and_not_the_page(run: Path) -> None:
    accuracy = result_of(run)["accuracy"]
    edit(run / "result.json", accuracy={**accuracy, "no_prompt": {**accuracy["no_prompt"], "val": "much"}})
    _, root = page(run)
    assert "does not hold what was expected" in section(root, "ladder").words
    assert section(root, "curves").all("figure") or section(root, "curves").words


@pytest.mark.usefixtures("undrawn")
def test_a_run_without_prompt_says_so(run: Path) -> None:
    prompt = load(run / "prompt.png")
    object.__setattr__(prompt, "template", {"name": "none", "params": {}, "num_params": 0})
    object.__setattr__(prompt, "rgba", np.zeros_like(prompt.rgba))
    prompt.save(run / "prompt.png")
    _, root = page(run)
    assert "no prompt kept" in section(root, "prompt").words
    assert section(root, "prompt").all("img") == []  # an empty prompt is not shown as if it were one
    assert len(section(root, "images").all("img")) == 6  # each image once


@pytest.mark.usefixtures("undrawn")
def test_a_committee_shows_all_its_pages_and_its_price(run: Path) -> None:
    plain = load(run / "prompt.png").canvas
    views = (View(), View(size=0.75, frame=Pattern((255, 255, 255))), View(tone=Tone(invert=True)))
    pages = tuple(view.prompt(replace(plain, fit="resize", frame=0)) for view in views)
    Committee(pages, output=load(run / "prompt.png").output, model="toy").save(run / "prompt.png")
    edit(run / "result.json", queries={**result_of(run)["queries"], "per_prediction": 2.4})
    _, root = page(run, options=ReportOptions(device="cpu"))
    assert f"View 2: {views[1].name}." in section(root, "prompt").words
    assert len(section(root, "prompt").all("img")) == 2 * len(views)
    assert len(section(root, "images").all("img")) == 6 * (1 + len(views))
    assert "a prediction takes up to 3 queries" in section(root, "images").words
    assert [row[4] for row in cells(section(root, "ladder").all("table")[0])[1:]] == ["1", "1", "2.4", "2.4"]


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one"):
        write_report([], out=tmp_path / "r.html")
    with pytest.raises(ConfigError, match="no run directory"):
        write_report([tmp_path / "none"], out=tmp_path / "r.html")
    with pytest.raises(ConfigError, match="none of the files"):
        write_report([tmp_path], out=tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


# Several runs --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("undrawn")
def test_several_runs_are_compared(run: Path) -> None:
    copies = [run]
    for number, change in ((1, {}), (2, {"size": 3})):
        copy = run.parent / f"run{number}"
        shutil.copytree(run, copy)
        accuracy = result_of(run)["accuracy"]
        accuracy["prompt_png"]["test"] += 0.05 * number
        edit(copy / "result.json", accuracy=accuracy, seed=1)
        edit_settings(copy, seed=number, **change)
        copies.append(copy)
    text, root = page(*copies)
    assert external(text) == []
    groups, paired, each = (cells(table) for table in section(root, "comparison").all("table"))
    assert paired[1:] == [["size 3", "+5.0", "1 of 1"]]  # of seed 1
    scores = [result_of(copy)["accuracy"]["prompt_png"]["test"] for copy in copies]
    mean, deviation = statistics.mean(scores[:2]), statistics.stdev(scores[:2])
    assert groups[1][0] == "size 4"
    assert groups[1][1] == "2"
    assert groups[1][5] == f"{mean:.1%} ± {100 * deviation:.1f}"
    assert groups[2][0] == "size 3"
    assert groups[2][5] == f"{scores[2]:.1%}"
    assert [row[0] for row in each[1:]] == ["run", "run1", "run2"]
    assert all(f"{score:.1%}" in row[5] for score, row in zip(scores, each[1:], strict=True))
    ids = [node.attributes["id"] for node in root.all("h1", "h2", "h3") if "id" in node.attributes]
    assert len(set(ids)) == len(ids) == 1 + 3 * (1 + len(SECTIONS))
    with pytest.raises(ConfigError, match="named twice"):
        write_report([run, run], out=run.parent / "x.html")
