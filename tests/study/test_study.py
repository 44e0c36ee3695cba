"""Studies: which runs they make, that finished runs are not repeated, and what they write."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

from pixprompt.core import AnswerKind, ConfigError, ModelSpec, UnknownName
from pixprompt.engine import Silent
from pixprompt.models import DualEncoder
from pixprompt.plots.study import Point, study_figure
from pixprompt.study import KINDS
from pixprompt.study.rows import ROWS, StudySettings
from pixprompt.study.run import points, study, table


class Encoders(nn.Module):
    """Images by their mean colours and stripes; texts by their bytes, in one space of eight numbers."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.logit_scale = nn.Parameter(torch.tensor(3.0))
        self.turn = nn.Parameter(torch.randn(12, 8, generator=generator))

    def encode_image(self, images: Tensor) -> Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1) @ self.turn

    def encode_text(self, tokens: Tensor) -> Tensor:
        rows = [np.random.default_rng(row.tolist()).normal(size=8) for row in tokens]
        return torch.tensor(np.stack(rows), dtype=torch.float32)


def tokenize(texts: Sequence[str]) -> Tensor:
    return torch.stack([torch.tensor(list(text.encode().ljust(60)[:60])) for text in texts])


@pytest.fixture
def clip() -> DualEncoder:
    spec = ModelSpec("toy-clip", (16, 16), 8, AnswerKind.EMBEDDINGS)
    return DualEncoder(Encoders(), spec, mean=(0.4,) * 3, std=(0.2,) * 3, tokenizer=tokenize)


@pytest.fixture
def quick(config: Any) -> Any:
    return config.with_values(epochs=1, output="frequency")


def rows(kind: str, config: Any, values: Sequence[str], folder: Path, model: Any, data: Any) -> list[Any]:
    return ROWS[kind](StudySettings(config, tuple(values), folder, Silent(), model, data))


# What is varied ------------------------------------------------------------------------------------------------------


def test_mappings_are_kept_swapped_and_random(quick: Any, model: Any, data: Any, tmp_path: Path) -> None:
    result = rows("mapping", quick, (), tmp_path, model, data)
    assert [row.name for row in result] == ["kept", "swapped", "random 1", "random 2", "random 3"]
    files = [json.loads(Path(row.settings["mapping"]).read_text()) for row in result]
    assert all(list(file) == list(data.classes) for file in files)
    remaining, swapped = (list(file.values()) for file in files[:2])
    assert swapped == [remaining[1], remaining[2], remaining[0]]
    drawn = [[sources[0] for sources in file.values()] for file in files[2:]]
    assert all(len(set(one)) == 3 and max(one) < 6 for one in drawn)
    assert len({tuple(one) for one in drawn}) > 1
    again = rows("mapping", quick, (), tmp_path / "again", model, data)
    assert [row.identity for row in again] == [row.identity for row in result]


def test_the_kept_mapping_is_the_configured_one_and_is_asked_for_once(
    quick: Any, model: Any, data: Any, tmp_path: Path
) -> None:
    first = rows("mapping", quick.with_values(output="first-k"), ("kept",), tmp_path, model, data)
    assert list(first[0].identity.values()) == [[0], [1], [2]]
    fitted = rows("mapping", quick, ("kept",), tmp_path, model, data)[0].identity
    calls: list[int] = []
    silent = replace_model(model, calls)
    assert rows("mapping", quick, ("kept",), tmp_path, silent, data)[0].identity == fitted
    assert calls == []  # read from the folder
    assert rows("mapping", quick, ("kept",), tmp_path / "new", silent, data)[0].identity == fitted
    assert sum(calls) == 60  # negative control


def replace_model(model: Any, queries: list[int]) -> Any:
    class Listening:
        spec, access = model.spec, model.access

        def __call__(self, images: Tensor) -> Tensor:
            queries.append(len(images))
            return model(images)

    return Listening()


def test_templates_learn_about_as_many_numbers(quick: Any, model: Any, data: Any, tmp_path: Path) -> None:
    result = rows("templates", quick.with_values(size=2), (), tmp_path, model, data)
    assert {row.settings["template"] for row in result} == {"padding", "patch", "random-patch", "full"}
    sizes = {row.settings["template"]: row.settings["size"] for row in result}
    padding = 4 * 2 * (16 - 2)
    assert abs(sizes["patch"] ** 2 - padding) <= sizes["patch"]
    assert sizes["patch"] == sizes["random-patch"]
    assert sizes["padding"] == 2


def test_sizes_that_do_not_fit_are_left_out_of_the_defaults_only(
    quick: Any, model: Any, data: Any, tmp_path: Path
) -> None:
    assert [row.settings["size"] for row in rows("sizes", quick, (), tmp_path, model, data)] == [1, 5]
    assert [row.name for row in rows("sizes", quick, ("3", "3", "2"), tmp_path, model, data)] == [
        "padding 3", "padding 2"]  # fmt: skip
    with pytest.raises(ConfigError, match="30"):
        rows("sizes", quick, ("3", "30"), tmp_path, model, data)


@pytest.mark.parametrize(
    ("kind", "values", "error", "words"),
    [
        ("text", ("a photo",), ConfigError, "one {}"),
        ("mapping", ("swaped",), ConfigError, "Did you mean 'swapped'"),
        ("templates", ("pading",), UnknownName, "Did you mean 'padding'"),
        ("sizes", ("wide",), ConfigError, "whole number"),
        ("mappings", (), ConfigError, "no study 'mappings'"),
    ],
)
def test_wrong_values_are_refused_before_anything_runs(
    kind: str, values: tuple[str, ...], error: type, words: str, quick: Any, model: Any, data: Any, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        study(kind, quick, out=tmp_path, values=values, model=model, data=data)
    assert not (tmp_path / "runs").exists()


def test_a_dual_encoder_has_no_mapping_to_study(quick: Any, clip: Any, data: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="study its texts"):
        study("mapping", quick.with_values(output="text"), out=tmp_path, model=clip, data=data)
    with pytest.raises(ConfigError, match="paddings only"):
        study("templates", quick.with_values(fit="shrink"), out=tmp_path, model=clip, data=data)


# What is written -----------------------------------------------------------------------------------------------------


def test_a_text_study_writes_results_table_and_plot(quick: Any, clip: Any, data: Any, tmp_path: Path) -> None:
    texts = ("a photo of a {}", "{}")
    lines = study("text", quick.with_values(output=None), out=tmp_path, values=texts, model=clip, data=data)
    assert [line["name"] for line in lines] == list(texts)
    assert [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()] == lines
    assert len({line["result"]["accuracy"]["no_prompt"]["val"] for line in lines}) == 2  # the texts differ in quality
    assert (tmp_path / "table.md").read_text().count("\n") == 4
    for line in lines:
        assert (tmp_path / "runs" / line["run"] / "result.json").exists()
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.format == "PNG"


class StopsAt(Silent):
    """Interrupts at the nth epoch of a study, counted over its runs."""

    def __init__(self, epoch: int) -> None:
        self.left = epoch

    def epoch(self, line: Mapping[str, float]) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_a_study_continues_where_it_was_stopped(quick: Any, model: Any, data: Any, tmp_path: Path) -> None:
    values = ("kept", "swapped")
    with pytest.raises(KeyboardInterrupt):
        study("mapping", quick, out=tmp_path, values=values, reporter=StopsAt(2), model=model, data=data)
    assert (tmp_path / "results.jsonl").read_text().count("\n") == 1
    assert len(list((tmp_path / "runs").iterdir())) == 2  # the second was begun
    (first,) = (tmp_path / "runs").rglob("result.json")
    finished = first.stat().st_mtime_ns
    lines = study("mapping", quick, out=tmp_path, values=values, model=model, data=data)
    assert [line["name"] for line in lines] == ["kept", "swapped"]
    assert first.stat().st_mtime_ns == finished
    assert (tmp_path / "results.jsonl").read_text().count("\n") == 2
    more = study("mapping", quick.with_values(epochs=0), out=tmp_path, values=("kept",), model=model, data=data)
    assert more[0]["run"] != lines[0]["run"]  # other settings are another run, not a finished one


def test_the_plot_shows_the_prompt_that_was_kept_and_leaves_out_what_has_no_test() -> None:
    score = {"val": 0.5, "test": 0.4, "ci95": [0.3, 0.5], "output": "text"}
    rungs = {"no_prompt": {**score, "test": 0.2}, "output_only": None, "prompt_float": None, "prompt_png": score}
    result = {"accuracy": rungs, "parameters": 7, "best": "prompt", "seconds": 1.0}
    silent = {**result, "accuracy": {**rungs, "prompt_png": {**score, "test": None, "ci95": None}}}
    lines = [
        {"name": "a|b", "settings": {"size": 4}, "result": result},
        {"name": "c", "settings": {}, "result": silent},
    ]
    assert points(lines) == [Point("a|b", 0.2, 0.4, (0.3, 0.5), None, 4, 7)]
    assert table(lines).splitlines()[2:] == [
        "| a\\|b | 0.200 | - | - | 0.500 | 0.400 (0.300-0.500) | prompt | 1 |",
        "| c | 0.200 | - | - | 0.500 | - | prompt | 1 |",
    ]


POINTS = [
    Point("a {}", 0.2, 0.6, (0.5, 0.7), 0.7, 30, 300),
    Point("$x$ {}", 0.5, 0.55, (0.45, 0.65), 0.8, 3, 30, none_kept="no prompt kept: none won"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_study_has_a_plot(kind: str) -> None:
    figure: Figure = study_figure(POINTS, kind=kind, varied="what varies")
    axes = figure.axes[0]
    assert "what varies" in (axes.get_xlabel(), axes.get_ylabel())
    assert not study_figure([], kind=kind, varied="x").axes[0].collections or kind == "sizes"


def test_plots_show_accuracy_size_and_order() -> None:
    texts = study_figure(POINTS, kind="text", varied="x").axes[0]
    assert dots(texts) == [(0.2, 0.6), (0.5, 0.55)]
    sizes = study_figure(POINTS, kind="sizes", varied="x", subject="net on digits")
    assert sizes.get_suptitle() == "net on digits"
    axes = sizes.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["3\n30", "30\n300"]
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert lines["no prompt, best output"] == [[3, 0.8], [30, 0.7]]
    assert lines["with prompt (95% interval)"] == [[3, 0.55], [30, 0.6]]
    names = [text.get_text() for text in study_figure(POINTS, kind="mapping", varied="x").axes[0].get_yticklabels()]
    assert names == ["a {}", "$x$ {}"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_kept_no_prompt_is_marked(kind: str) -> None:
    axes = study_figure(POINTS, kind=kind, varied="x").axes[0]
    assert [text.get_text() for text in axes.texts].count("no prompt kept: none won") == 1
    hollow = [line for line in axes.lines if line.get_marker() == "o" and line.get_mfc() == "white"]
    assert len(hollow) == 1


def dots(axes: Any) -> list[tuple[float, float]]:
    return [tuple(line.get_xydata()[0]) for line in axes.lines if line.get_marker() == "o" and len(line.get_xdata())]
