"""`pixprompt apply --ray`: a Ray cluster on this machine, with a worker process for each core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from pixprompt.cli import main

from ..images import files, make_prompt, write_broken, write_readable

ROOT = Path(__file__).parents[2]
# Its workers are polite to other programs, and would starve on a machine with work to do; it counts no users here.
RAY = {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'pixprompt[ray]'")
def test_a_cluster_writes_what_this_machine_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_prompt().save(tmp_path / "p.png")
    write_readable(tmp_path / "in")
    write_broken(tmp_path / "in/broken")
    arguments = ["apply", str(tmp_path / "p.png"), str(tmp_path / "in"), "--json", "--out"]
    assert main([*arguments, str(tmp_path / "here")]) == 1
    here = json.loads(capsys.readouterr().out)
    command = [sys.executable, "-m", "pixprompt", *arguments, str(tmp_path / "there"), "--ray", "local"]
    process = subprocess.run(command, env={**os.environ, **RAY}, capture_output=True, text=True, timeout=500)
    assert process.returncode == 1, process.stderr[-3000:]
    there = json.loads(process.stdout)
    assert [there[name] for name in ("written", "failed")] == [here[name] for name in ("written", "failed")]
    assert files(tmp_path / "there") == files(tmp_path / "here")
    for name in files(tmp_path / "here"):
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_the_option_says_what_installs_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_prompt().save(tmp_path / "p.png")
    write_readable(tmp_path / "in")
    arguments = ["apply", str(tmp_path / "p.png"), str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--ray", "local"]) == 2
    assert "pip install 'pixprompt[ray]'" in capsys.readouterr().err
