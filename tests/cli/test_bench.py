"""`pixprompt bench`: what it prints, what it leaves, that it continues, and wrong use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixprompt.cli import main

from ..bench.toys import write_benchmark
from .toy import Toy


def test_a_benchmark_prints_its_table_and_is_not_run_twice(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_benchmark(toy)
    assert main(["trust", toy.model()]) == 0
    assert main(["bench", str(path), "--out", "b"]) == 0
    printed = capsys.readouterr().out
    assert "| 2 · toy |" in printed or "| 2 |" in printed
    assert "[90.0]" in printed
    assert {"table.md", "figure.png", "index.html", "results.jsonl"} <= {each.name for each in Path("b").iterdir()}
    before = Path("b/results.jsonl").read_bytes()
    assert before.count(b"\n") == 2  # the two methods of a size are read from one run
    assert str(toy.folder).encode() not in before.replace(toy.data.encode(), b"")
    assert main(["bench", str(path), "--out", "b", "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert Path("b/results.jsonl").read_bytes() == before
    assert output["runs"] == {"done": 2, "total": 2}
    values = {(value["row"], value["column"]): value for value in output["values"]}
    assert values["2", "prompt"]["published"] == 0.9
    gain = values["4", "prompt"]["mean"] - values["4", "plain"]["mean"]
    assert values["4", "gain"]["mean"] == pytest.approx(gain)


def test_failed_cells_are_said_and_the_others_are_there(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_benchmark(toy)
    main(["trust", toy.model()])
    path.write_text(path.read_text().replace("2 = { size = 2 }", "2 = { size = 20 }"))
    assert main(["bench", str(path), "--miniature", "--out", "b", "--runs", "r"]) == 1
    printed = capsys.readouterr()
    assert "failed   toy, prompt, 2, seed 0" in printed.out or "failed   toy, plain, 2, seed 0" in printed.out
    assert "run 2 of 2" in printed.err
    failed = [json.loads(line) for line in Path("b/failures.jsonl").read_text().splitlines()]
    assert [line["attempt"] for line in failed] == [1]  # a setting that makes no sense is not tried again
    assert Path("b/results.jsonl").read_text().count("\n") == 1


def test_a_file_of_somebody_decides_no_code(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", str(write_benchmark(toy))]) == 2
    assert "pixprompt trust" in capsys.readouterr().err
    assert not Path("benches").exists()


def test_benchmarks_are_listed_and_planned(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["vp-table-1"]["miniature"] is True
    assert main(["bench", str(write_benchmark(toy)), "--dry-run", "--only", "4"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "cells    2, which are 1 runs"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((), "--list"), (("vp-tabel-1",), "Did you mean"), (("vp-table-1", "--only", "zebra"), "zebra"),
     (("vp-table-1", "--jobs", "0"), "jobs")],
)  # fmt: skip
def test_wrong_use_is_told(
    arguments: tuple[str, ...], words: str, toy: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) == 2
    assert words in capsys.readouterr().err
