"""Killed and continued, in several processes, on a Ray cluster: the results of a bench that ran in one go."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pixprompt.bench import bench
from pixprompt.engine.inputs.trust import trust

from ..cli.toy import Toy, start
from .toys import write_benchmark

pytestmark = pytest.mark.slow
TIMES = ("seconds", "peak_memory_mb", "train_images_per_second")


@pytest.fixture
def path(toy: Toy) -> Path:
    trust(toy.model())
    return write_benchmark(toy)


def results(folder: Path) -> dict[str, Any]:
    """What is the same wherever and however often a run was begun."""
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    for line in lines:
        line["result"] = {name: value for name, value in line["result"].items() if name not in TIMES}
    return {line["run"]: (line["name"], line["settings"], line["result"], line["test"]) for line in lines}


def test_a_bench_that_is_killed_and_continued_equals_one_that_is_not(path: Path, toy: Toy) -> None:
    killed = start(["bench", str(path), "--out", "killed/b"], toy.folder)
    assert killed.stderr is not None
    while "run 2 of 2" not in (line := killed.stderr.readline()):
        assert line, "it ended before its second run began"
    killed.kill()
    killed.communicate()
    assert len(results(Path("killed/b"))) == 1
    first = next(each for each in Path("killed/runs").rglob("result.json"))
    finished = first.stat().st_mtime_ns
    bench(path, out="killed/b")
    assert first.stat().st_mtime_ns == finished
    bench(path, out="whole/b")
    assert results(Path("killed/b")) == results(Path("whole/b"))
    assert len(results(Path("whole/b"))) == 2
    assert Path("killed/b/table.md").read_bytes() == Path("whole/b/table.md").read_bytes()


def test_several_processes_give_the_same_and_one_that_dies_costs_its_run_alone(path: Path, toy: Toy) -> None:
    module = toy.folder / f"{toy.module}.py"
    module.write_text(f"{module.read_text()}\ndef deadly(images):\n    os._exit(9)\n")
    deadly = f'[[when]]\nvary = ["4"]\nsettings = {{ model = "{toy.model("deadly")}" }}\n'
    path.write_text(path.read_text().replace("[miniature]", f"{deadly}[miniature]"))
    trust(toy.model("deadly"))
    result = bench(path, out="several/b", jobs=2)
    assert [(line["attempt"], line["error"].split(";")[0]) for line in result.failures] == [
        (2, "its process ended with code 9")]  # fmt: skip
    bench(path, out="whole/b", only=["2"])
    assert results(Path("several/b")) == results(Path("whole/b")) != {}


def test_a_ray_cluster_of_two_processes_gives_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="no Ray: pip install 'pixprompt[ray]'")
    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")]))
    undo: Callable[[], None] = ray.shutdown
    try:
        bench(path, out="ray/b", jobs=2, ray="local")
    finally:
        undo()
    bench(path, out="whole/b")
    assert results(Path("ray/b")) == results(Path("whole/b"))
    assert len(results(Path("whole/b"))) == 2
