"""Runs on an accelerator: tensors meet on one device, and prompts and scores are those of the CPU."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from . import runs


@pytest.mark.slow
def test_runs_give_what_they_give_on_the_cpu(tmp_path: Path) -> None:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no C++ compiler to make an accelerator")
    # In a process of its own: the device stays for good.
    command = [sys.executable, str(runs.__file__), str(runs.compiled(compiler, tmp_path)), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    refusal, *lines = map(json.loads, done.stdout.splitlines())
    assert "on the accelerator and on the CPU" in refusal["mixed"]
    assert [line["case"] for line in lines] == list(runs.CASES)
    for line in lines:
        own, cpu = line[runs.NAME], line["cpu"]
        assert own["best"] == cpu["best"], line["case"]
        assert own["losses"] == pytest.approx(cpu["losses"], rel=1e-3), line["case"]
        for name in range(2):  # as trained, and read again from the files
            assert own["scores"][name] == pytest.approx(cpu["scores"][name], abs=2 / 45), line["case"]
