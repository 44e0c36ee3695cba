"""One real run of the toy task, made once for all tests of the report."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixprompt import plots
from pixprompt.cli import main

from ..cli.toy import Toy, write_toy


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """The toy task with a finished run in `run`; its module can be imported from anywhere."""
    folder = tmp_path_factory.mktemp("report")
    toy, before = write_toy(folder), os.getcwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXPROMPT_CACHE", str(folder / "cache"))
        patch.syspath_prepend(str(folder))
        patch.chdir(folder)
        assert main(toy.train("run", "--price-per-1000", "2")) == 0
        os.chdir(before)
        yield toy
    sys.modules.pop(toy.module, None)


@pytest.fixture
def run(toy_run: Toy, tmp_path: Path) -> Path:
    """A copy of the run that a test may change."""
    return Path(shutil.copytree(toy_run.folder / "run", tmp_path / "run"))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves figures empty, where a test is about something else: drawing takes most of a page's time."""
    monkeypatch.setattr(plots, "to_svg", lambda figure: "<svg xmlns='http://www.w3.org/2000/svg'/>")
