"""The source distribution is complete: its tests are found and run from it alone."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_tests_of_an_unpacked_sdist_run(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    for name in ("LICENSE", "README.md", "CHANGELOG.md", "requirements-light.txt", "pixprompt/py.typed", "assets"):
        assert (unpacked / name).exists(), name

    def pytest_there(*arguments: str) -> str:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(unpacked)}
        process = subprocess.run(command, cwd=unpacked, env=environment, capture_output=True, text=True)
        assert process.returncode == 0, process.stdout[-2000:]
        return process.stdout

    actual = pytest_there("--collect-only", "-m", "slow or not slow")
    expected = sorted(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert sorted(path.name for path in (unpacked / "tests").rglob("test_*.py")) == expected
    assert all(f"{name}::" in actual for name in expected)
    pytest_there("tests/test_registry.py", "tests/test_prompt.py", "tests/test_golden.py", "tests/cli/test_inspect.py")
