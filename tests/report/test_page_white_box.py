"""Runs of methods that are fitted inside the model: parameters instead of a picture."""

import json
import shutil
from pathlib import Path

import pytest

from pixprompt.data import load_data
from pixprompt.engine import Result, TrainConfig, train
from pixprompt.report import ReportOptions

from ..cli.toy import CLASSES
from ..plots.blank import blank_pictures
from .html_check import external
from .pages import cells, edit, page, section
from .pictures_toy import tiny_model, write_task

WHITE_BOX = {"ladder", "adapter", "preview", "curves", "diagnostics", "settings", "files"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, tuple[Path, Result]]:
    """A plain run and a searched one."""
    folder = tmp_path_factory.mktemp("inside")
    name, model = write_task(folder), tiny_model()
    config = TrainConfig(data=name, method="vpt-deep", tokens=2, epochs=2, precision="fp32")
    searched = config.with_values(
        method="linear", tokens=None, search=True, lr_grid="0.05,1e38", weight_decay_grid="0", seeds=2
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXPROMPT_CACHE", str(folder / "cache"))
        blank_pictures(patch)
        data = load_data(name, seed=0)
        return {
            "plain": (folder / "plain", train(config, out=folder / "plain", model=model, data=data)),
            "searched": (folder / "searched", train(searched, out=folder / "searched", model=model, data=data)),
        }


def test_a_page_tells_what_was_learned_and_misses_no_prompt(runs) -> None:
    folder, result = runs["plain"]
    text, root = page(folder, options=ReportOptions(device="cpu"))
    assert external(text) == []
    assert {node.attributes["aria-labelledby"] for node in root.all("section")} == WHITE_BOX
    words_shown = section(root, "adapter").words
    assert "vpt-deep" in words_shown
    assert str(2 * 2 * 24 + 25 * len(CLASSES)) in words_shown
    assert f"{result.adapter['share']:.2%}" in words_shown
    assert section(root, "preview").all("img")[0].attributes["alt"].startswith("Confusion matrices")
    assert section(root, "files").words == "Files All files of the run are there."
    rows = cells(section(root, "ladder").all("table")[0])
    assert [row[0] for row in rows[1:]] == ["no prompt", "no prompt, best output transform", "adapter as trained"]
    assert "without and with the adapter" in root.words
    assert "prompt.png" not in root.words


@pytest.mark.usefixtures("undrawn")
def test_a_search_shows_its_trials_and_all_seeds(runs) -> None:
    folder, result = runs["searched"]
    _, root = page(folder)
    trials, seeds = (cells(table) for table in section(root, "search").all("table"))
    assert trials[0] == ["learning rate", "weight decay 0"]
    assert [row[1] for row in trials[1:]] == [f"{result.search['val_accuracy']:.1%}", "diverged"]
    assert [row[1] for row in seeds[1:3]] == [f"{seed['test']:.1%}" for seed in result.search["seeds"]]
    assert seeds[3][1].startswith(f"{result.search['test_mean']:.1%} ±")


@pytest.mark.usefixtures("undrawn")
def test_runs_inside_are_compared_by_all_their_seeds(runs) -> None:
    _, root = page(*(folder for folder, _ in runs.values()))
    groups, paired, each = (cells(table) for table in section(root, "comparison").all("table"))
    assert groups[0][-1] == "adapter as trained, test"
    assert [row[1] for row in groups[1:]] == ["1", "2"]
    result = runs["searched"][1].search
    assert groups[2][-1] == f"{result['test_mean']:.1%} ± {100 * result['test_deviation']:.1f}"
    assert len(each[0]) == len(each[1]) == 7
    assert paired[1][2].endswith("of 1")  # both learned with seed 0, one with seed 1, too


@pytest.mark.usefixtures("undrawn")
def test_an_unfinished_run_lacks_its_adapter(runs, tmp_path) -> None:
    folder = Path(shutil.copytree(runs["plain"][0], tmp_path / "run"))
    (folder / "adapter.safetensors").unlink()
    (folder / "result.json").unlink()
    _, root = page(folder)
    assert "adapter.safetensors: not there." in section(root, "files").words
    assert "(not there)" in section(root, "adapter").words


@pytest.mark.usefixtures("undrawn")
def test_a_score_of_the_file_has_a_rung_of_its_own(runs, tmp_path) -> None:
    folder = Path(shutil.copytree(runs["plain"][0], tmp_path / "run"))
    accuracy = json.loads((folder / "result.json").read_text())["accuracy"]
    edit(folder / "result.json", accuracy={**accuracy, "prompt_png": accuracy["prompt_float"]})
    _, root = page(folder)
    assert cells(section(root, "ladder").all("table")[0])[4][0] == "adapter re-read from its file"
