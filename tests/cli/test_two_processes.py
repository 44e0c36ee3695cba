"""Two processes at one run: the second is refused, and nothing is bought or written twice."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from pixprompt.cli import main

from ..images import files
from .test_train import _LONG, result_of, wait_for
from .toy import Toy, start


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)


@pytest.mark.slow
def test_a_run_by_gradients_is_continued_by_one_process(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(toy.train("whole", *_LONG)) == 0
    waits = "import time, pixprompt.engine.run as run\nrun.score_ladder = lambda *_: time.sleep(600)"
    first = start(toy.train("run", *_LONG), toy.folder, before=waits)
    try:
        wait_for(toy.folder / "run/history.jsonl", first)
        (toy.folder / "run/.half.tmp").write_text("{")  # of the first process, which may be writing it
        assert main(["train", "--resume", "run"]) == 1
        assert "run is in use by another process" in capsys.readouterr().err
        assert (toy.folder / "run/.half.tmp").exists()
    finally:
        stop(first)
    assert main(["train", "--resume", "run"]) == 0
    assert result_of(Path("run")) == result_of(Path("whole"))
    assert files(Path("run")) == files(Path("whole"))


@pytest.mark.slow
def test_what_is_paid_is_asked_by_one_process(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    by_answers = ["train", "--model", toy.model("scores"), "--data", toy.data, "--budget", "400", "--size", "4"]
    calls = toy.folder / "calls"
    (toy.folder / f"{toy.module}.py").write_text(
        (toy.folder / f"{toy.module}.py").read_text()
        + f"""
def scores(images):
    import time
    with open({str(calls)!r}, "a") as file:
        file.write("x" * len(images))
    while os.path.exists({str(toy.folder / "wait")!r}) and os.path.getsize({str(calls)!r}) > 60:
        time.sleep(0.01)
    return torch.from_numpy(net(images).detach().numpy())
"""
    )
    (toy.folder / "wait").touch()
    first = start([*by_answers, "--out", "run"], toy.folder)
    try:
        wait_for(calls, first, "x" * 61)
        sold = calls.stat().st_size
        assert main(["train", "--resume", "run"]) == 1
        assert "in use by another process" in capsys.readouterr().err
        assert calls.stat().st_size <= sold + 1  # what loading the model asks
    finally:
        stop(first)
    (toy.folder / "wait").unlink()
    assert main(["train", "--resume", "run"]) == 0


@pytest.mark.slow
def test_a_run_that_is_stopped_for_a_while_goes_on(toy: Toy) -> None:
    """As on a machine that swaps, or a laptop that sleeps: nothing happens, then everything at once."""
    assert main(toy.train("whole", *_LONG)) == 0
    process = start(toy.train("run", *_LONG), toy.folder)
    wait_for(toy.folder / "run/history.jsonl", process)
    for _ in range(3):
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.2)
        process.send_signal(signal.SIGCONT)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert result_of(Path("run")) == result_of(Path("whole"))
    assert (Path("run") / "prompt.png").read_bytes() == (Path("whole") / "prompt.png").read_bytes()
