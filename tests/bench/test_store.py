"""The runner: what is finished is not run again, what fails is tried once more and kept apart, lines are only added."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pixprompt.bench.runs import Outcome, Run, failure
from pixprompt.bench.store import ResultStore, run_all
from pixprompt.engine import Silent


def runs(*names: str) -> list[Run]:
    return [Run(name, "train", {}, {"data": name}, name) for name in names]


class Fake:
    """A pool that fails as it is told: name -> attempts that fail, -1 for a failure that is final."""

    def __init__(self, fails: dict[str, int]) -> None:
        self.fails, self.performed = fails, list[str]()

    def __call__(
        self, runs: Sequence[Run], folder: Path, number: int, start: Callable[[Run], None]
    ) -> Iterator[Outcome]:
        for run in runs:
            start(run)
            self.performed.append(f"{run.name} {number}")
            fails = self.fails.get(run.name, 0)
            if fails < 0 or number <= fails:
                yield failure(run, number, "broken", final=fails < 0)
            else:
                yield Outcome(run.key, {"run": run.key, "name": run.name, "result": {"path": str(folder)}})


def test_failures_are_tried_once_more_unless_they_are_final_and_stay_apart(tmp_path: Path) -> None:
    store, pool = ResultStore(tmp_path), Fake({"b": 1, "c": 9, "d": -1})
    run_all(runs("a", "b", "c", "d", "a"), store, pool, tmp_path / "runs", reporter=Silent())
    assert pool.performed == ["a 1", "b 1", "c 1", "d 1", "b 2", "c 2"]
    assert [line["name"] for line in store.results.values()] == ["a", "b"]
    assert [(line["name"], line["attempt"]) for line in store.failures.values()] == [("c", 2), ("d", 1)]
    before = (tmp_path / "results.jsonl").read_bytes()
    again = Fake({})
    run_all(runs("a", "b", "c", "d"), store, again, tmp_path / "runs", reporter=Silent())
    assert again.performed == ["c 1", "d 1"]
    assert (tmp_path / "results.jsonl").read_bytes().startswith(before)
    assert store.failures == {}
    assert (tmp_path / "failures.jsonl").read_text().count("\n") == 4  # what failed stays on record


def test_a_line_that_a_kill_has_cut_costs_itself_alone_and_places_are_hidden(tmp_path: Path) -> None:
    store = ResultStore(tmp_path, {str(tmp_path): "{there}"})
    run_all(runs("a"), store, Fake({}), tmp_path / "runs", reporter=Silent())
    assert "{there}/runs" in (tmp_path / "results.jsonl").read_text()
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('{"run": "b')
    run_all(runs("a", "b"), store, Fake({}), tmp_path / "runs", reporter=Silent())
    assert [line["name"] for line in store.results.values()] == ["a", "b"]


def test_the_caller_is_told_which_runs_are_under_way(tmp_path: Path) -> None:
    calls: list[list[str]] = []
    run_all(
        runs("a", "b"),
        ResultStore(tmp_path),
        Fake({}),
        tmp_path,
        reporter=Silent(),
        on_change=lambda running: calls.append([run.name for run in running]),
    )
    assert calls == [["a"], [], ["b"], []]


@pytest.mark.parametrize("text", ["{}", "[]", "3", '{"run": 3}'])
def test_foreign_lines_are_left_alone(text: str, tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text(f"{text}\n")
    assert ResultStore(tmp_path).results == {}


def test_keys_depend_on_identity_and_task_alone() -> None:
    first, second = runs("a")[0], Run("a", "segment", {}, {}, "a")
    assert first.key != second.key
    assert Run("a", "train", {"x": 1}, {}, "a").key == first.key
    assert json.loads(json.dumps(first.key)) == first.key
