"""Runs of two processes, as torchrun starts them, beside those of one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixprompt.engine.ranks import Ranks
from pixprompt.engine.result import read_result
from pixprompt.files.tensors import load_state

from ..cli.toy import write_toy
from .several_processes import RUNS, run
from .toy import history, numbers

ROOT = Path(__file__).parents[2]


_START = f"""
import pathlib, sys, types
sys.modules["tests"] = tests = types.ModuleType("tests")  # another package of that name may be installed
tests.__path__ = [{str(ROOT / "tests")!r}]
from tests.engine.several_processes import main
main(pathlib.Path(sys.argv[1]))
"""


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a program in two processes on this machine."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    (folder / "start.py").write_text(_START)
    (folder / "command").write_text(json.dumps(write_toy(folder).train("run")))
    process = torchrun(str(folder / "start.py"), str(folder))
    assert process.returncode == 0, process.stderr[-3000:]
    return folder


def learned(folder: Path) -> torch.Tensor:
    """What the checkpoint of the first epochs holds of prompt or adapter."""
    name = "seed-0.safetensors" if (folder / "checkpoint/search.json").exists() else "state.safetensors"
    tensors, _ = load_state(folder / "checkpoint" / name) or ({}, {})
    return torch.cat([value.flatten().float() for name, value in tensors.items() if name.startswith("now/")])


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_two_processes_learn_what_one_learns(name: str, together: Path, tmp_path: Path) -> None:
    run(name, tmp_path)
    one, two = tmp_path / name, together / "runs" / name
    assert torch.allclose(learned(two), learned(one), rtol=1e-3, atol=1e-5)
    for mine, other in zip(history(two), history(one), strict=True):
        losses, others = ({key: line[key] for key in line if "loss" in key} for line in (mine, other))
        assert losses == pytest.approx(others, rel=1e-3)
        assert mine["train_accuracy"] == pytest.approx(other["train_accuracy"], abs=1 / 60)
    results = [read_result(folder / "result.json") for folder in (two, one)]
    assert results[0].accuracy == results[1].accuracy
    if (one / "prompt.png").exists():
        assert results[0].queries["images"] == results[1].queries["images"]
        pixels = [np.asarray(Image.open(folder / "prompt.png")).astype(int) for folder in (two, one)]
        assert abs(pixels[0] - pixels[1]).max() <= 1
    assert sorted(path.name for path in two.iterdir()) == sorted(path.name for path in one.iterdir())


@pytest.mark.slow
def test_two_processes_resume_to_the_numbers_of_two_that_never_stopped(together: Path) -> None:
    stopped, whole = together / "runs/stopped/pixel", together / "runs/pixel"
    assert (stopped / "prompt.png").read_bytes() == (whole / "prompt.png").read_bytes()
    assert history(stopped) == history(whole)
    assert numbers(read_result(stopped / "result.json")) == numbers(read_result(whole / "result.json"))


@pytest.mark.slow
def test_the_first_process_alone_writes(together: Path) -> None:
    assert not (together / "of another process").exists()


@pytest.mark.slow
def test_learning_from_answers_refuses_a_second_process(together: Path) -> None:
    for rank in range(2):
        assert "start it without torchrun" in (together / f"refused-{rank}").read_text()
    assert not (together / "runs/answers").exists()


@pytest.mark.slow
def test_the_command_line_prints_once(together: Path) -> None:
    assert json.loads((together / "printed-0").read_text()) == read_result(together / "run/result.json").to_json()
    assert (together / "printed-1").read_text() == ""


@pytest.mark.parametrize("total", [1, 2, 7, 8])
def test_shares_of_a_batch_cover_it_and_differ_by_one_at_most(total: int) -> None:
    shares = [Ranks(rank, 3).share(torch.arange(total)) for rank in range(3)]
    assert torch.cat(shares).tolist() == list(range(total))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert sorted(item for rank in range(3) for item in Ranks(rank, 3).own(range(total))) == list(range(total))
