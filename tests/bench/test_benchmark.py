"""Benchmark files: those that come with the package make sense, and what makes none is refused with a hint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from pixprompt.bench import benchmark_names, read_benchmark
from pixprompt.bench.benchmark import Benchmark, parse_benchmark
from pixprompt.bench.run import runs_of
from pixprompt.core import Access, AnswerKind, ConfigError, ModelSpec, UnknownName
from pixprompt.data import DATASETS
from pixprompt.engine import TrainConfig
from pixprompt.engine.config.presets import learns_from_answers, resolve
from pixprompt.engine.config.rules import check_settings
from pixprompt.models import MODELS

PLACES = {"assets": "/assets", "lists": "/lists"}
TOY: dict[str, Any] = {
    "title": "a toy",
    "models": ["vit-tiny"],
    "data": {"a": {"data": "digits"}, "b": {"data": "cifar10", "like": "c"}},
    "methods": {"linear": {"method": "linear"}, "mlp": {"method": "mlp"}, "more": {"minus": ["mlp", "linear"]}},
}


def check(config: TrainConfig) -> None:
    """Refuses settings that a run would refuse before it begins, and heads that no paper has."""
    name = config.model.name
    answer = AnswerKind.EMBEDDINGS if "clip" in name else AnswerKind.LOGITS

    class Stub:
        spec, access = ModelSpec(name, (224, 224), 512, answer), Access.INTERNALS

        def __call__(self, images: Tensor, /) -> Tensor:
            return images

    by_answers = learns_from_answers(config, Stub())
    resolved = resolve(config, Stub.spec, by_answers=by_answers)
    check_settings(resolved, Stub(), by_answers)
    assert by_answers or resolved.output.kind != "auto"


def labels(benchmark: Benchmark) -> set[str]:
    """The rows that numbers may be published for."""
    from pixprompt.bench.summary import summarize

    rows = summarize(benchmark, [], {}).rows
    return {row.label for row in rows} | {list(row.parts.values())[-1] for row in rows if row.parts}


@pytest.mark.parametrize("name", benchmark_names())
def test_every_benchmark_has_cells_that_can_be_configured_and_numbers_in_its_rows_and_columns(name: str) -> None:
    whole = read_benchmark(name)
    for block in whole.published:
        assert set(block.rows) <= labels(whole)
        assert {column for row in block.rows.values() for column in row} <= set(whole.methods)
        assert all(-100 < value < 1000 for row in block.rows.values() for value in row.values())
    for benchmark in (whole, *([] if "missing" in whole.reduced else [whole.miniature()])):
        cells = benchmark.cells()
        assert len({cell.name for cell in cells}) == len(cells) > 0
        runs = {run.key: run for run in runs_of(benchmark, cells, PLACES)}
        assert len(runs) <= len(cells)
        checked = {}
        for run in runs.values():
            if run.task == "train":
                checked[str([each for each in run.options.items() if each[0] not in ("data", "seed")])] = run
            data, model = run.settings.get("data", ""), run.settings.get("model", "")
            assert data in DATASETS or data.startswith(("csv:{lists}/", "folder:{assets}/", "ade20k:")), data
            assert model in MODELS or "{assets}" in model or model.startswith("open_clip:") or run.task == "diagnose"
        for run in checked.values():
            check(TrainConfig(**run.options))
        assert {entry.like for axis in (benchmark.models, benchmark.data) for entry in axis.values()} <= {
            "",
            *whole.models,
            *whole.data,
        }


def test_cells_are_the_product_of_the_axes_and_differences_are_not_run() -> None:
    benchmark = parse_benchmark("toy", {**TOY, "seeds": [3, 4], "settings": {"epochs": 2}})
    cells = benchmark.cells()
    assert [cell.name for cell in cells[:2]] == ["vit-tiny, a, linear, seed 3", "vit-tiny, a, mlp, seed 3"]
    assert len(cells) == 8
    assert cells[0].settings == {"model": "vit-tiny", "data": "digits", "method": "linear", "epochs": 2, "seed": 3}


def test_settings_of_some_cells_win_over_those_of_all() -> None:
    when = [{"data": ["b"], "methods": ["mlp"], "settings": {"epochs": 9}}, {"data": ["a"], "skip": True}]
    cells = parse_benchmark("toy", {**TOY, "settings": {"epochs": 2}, "when": when}).cells()
    assert [(cell.place["data"], cell.place["methods"], cell.settings["epochs"]) for cell in cells] == [
        ("b", "linear", 2), ("b", "mlp", 9)]  # fmt: skip


def test_a_miniature_replaces_axes_and_adds_settings() -> None:
    small = {"data": {"few": {"folder": "{assets}/x", "train": 2, "test": 3, "like": "a"}}, "settings": {"lr": 1.0}}
    benchmark = parse_benchmark("toy", {**TOY, "settings": {"epochs": 2}, "miniature": small}).miniature()
    cell = benchmark.cells()[0]
    assert cell.settings["data"] == "csv:{lists}/few-2-3.csv"
    assert (cell.settings["epochs"], cell.settings["lr"]) == (2, 1.0)
    assert benchmark.small


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"modles": []}, "'modles' in benchmark. Did you mean 'models'"),
        ({"draw": "dot"}, "Did you mean 'dots'"),
        ({"baseline": "liner"}, "Did you mean 'linear'"),
        ({"seeds": []}, "whole numbers"),
        ({"title": 3}, "must be text"),
        ({"data": ["digits"], "groups": {"all": ["digit"]}}, "Did you mean 'digits'"),
        ({"when": [{"data": ["z"], "settings": {}}]}, "'z' in when.data"),
        ({"when": [{"dat": ["a"]}]}, "Did you mean 'data'"),
        ({"methods": {"m": {"minus": ["m", "n"]}}}, "minus 'n'"),
        ({"methods": {"m": {}, "d": {"minus": ["m"]}}}, "minus takes two methods"),
        ({"methods": {"m": {"minus": 5}}}, "another type"),
        ({"settings": {1: 2}, "when": 3}, "another type"),
        ({"methods": {"m": {"score": "onw"}}}, "Did you mean 'own'"),
        ({"published": [{"source": "x", "certainty": "sure", "rows": {}}]}, "certainty"),
        (
            {"published": [{"source": "x", "certainty": "read", "columns": ["linear"], "rows": {"a": [1, 2]}}]},
            "2 values",
        ),
        ({"miniature": {"model": []}}, "Did you mean 'models'"),
        ({"miniature": {"methods": {"m": {"task": "trian"}}}}, "Did you mean 'train'"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = tmp_path / "toy.json"
    path.write_text(json.dumps({**TOY, **changes}))
    with pytest.raises(ConfigError, match=words.replace("[", r"\[")):
        read_benchmark(path)


def test_a_wrong_setting_names_the_cell_and_what_was_meant() -> None:
    benchmark = parse_benchmark("toy", {**TOY, "settings": {"epoch": 2}})
    with pytest.raises(ConfigError, match=r"vit-tiny, a, linear, seed 0: .*'epoch'. Did you mean 'epochs'"):
        runs_of(benchmark, benchmark.cells(), PLACES)


def test_an_unknown_name_is_refused_and_assets_are_asked_for() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'vp-table-1'"):
        read_benchmark("vp-tabel-1")
    small = read_benchmark("vp-table-1").miniature()
    with pytest.raises(ConfigError, match="PIXPROMPT_ASSETS"):
        runs_of(small, small.cells(), {"lists": "/lists"})


def test_a_diagnosis_takes_the_images_alone() -> None:
    methods = {
        "fid": {"task": "diagnose", "reference": "imagenet"},
        "kid": {"task": "diagnose", "reference": "imagenet"},
    }
    data = {"a": {"data": "digits", "shots": 3}}
    benchmark = parse_benchmark("toy", {**TOY, "data": data, "methods": methods, "settings": {"epochs": 2}})
    first, second = runs_of(benchmark, benchmark.cells(), PLACES)
    assert first is second
    assert first.options == {"data": "digits", "reference": "imagenet"}
    wrong = parse_benchmark("toy", {**TOY, "methods": {"fid": {"task": "diagnose", "refrence": "imagenet"}}})
    with pytest.raises(ConfigError, match="refrence"):
        runs_of(wrong, wrong.cells(), PLACES)


def test_the_same_settings_are_the_same_run_whatever_reads_them() -> None:
    methods = {"none": {"method": "pixel", "score": "no_prompt"}, "own": {"method": "pixel"}, "lr": {"lr": 0.5}}
    benchmark = parse_benchmark("toy", {**TOY, "data": ["digits"], "methods": methods})
    first, second, third = runs_of(benchmark, benchmark.cells(), PLACES)
    assert first is second
    assert third.key != first.key
    elsewhere = runs_of(benchmark, benchmark.cells(), {"assets": "/other", "lists": "/x"})
    assert elsewhere[0].key == first.key
