"""What the tests of the commands share: a prompt file, and a whole task that a run learns in a second."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..images import make_prompt
from ..plots.blank import leave_blank
from .toy import Toy, write_toy


@pytest.fixture(autouse=True)
def blank_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of a run are there, with one pixel; the figures have tests of their own."""
    leave_blank(request, monkeypatch)


@pytest.fixture
def drawn() -> None:
    """Asks for the real pictures of a run."""


@pytest.fixture
def prompt_file(tmp_path: Path) -> Path:
    path = tmp_path / "prompt.png"
    make_prompt().save(path)
    return path


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toy]:
    """A model that can be named and images that lie in a folder, in an empty current folder."""
    written_toy = write_toy(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield written_toy
    sys.modules.pop(written_toy.module, None)
