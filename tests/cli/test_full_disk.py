"""A disk that fills up under `train`: a clear error, nothing half written, and a run that can go on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from pixprompt.cli import main

from .toy import Toy


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file can grow beyond `limit` bytes."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def fills_up(toy: Toy, limit: int, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Trains with and without the limit, and goes on without it."""
    assert main(toy.train("whole")) == 0
    capsys.readouterr()
    with full_disk(limit):
        assert main(toy.train("run", "--json")) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert "Traceback" not in output.err
    assert re.search(
        rf"^Error: cannot write run/{file}[^:]*: File too large\. Free some space", output.err, re.MULTILINE
    )
    assert not [path for path in Path("run").rglob("*") if path.name.startswith(".")]
    again = ["train", "--resume", "run"] if limit > 300 else toy.train("run")
    assert main(again) == 0
    for name in ("prompt.png", "config.json"):
        assert Path("run", name).read_bytes() == Path("whole", name).read_bytes()
    with Image.open("run/curves.png") as image:
        image.load()


pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")


@pytest.mark.parametrize(("limit", "file"), [(300, ".config"), (3000, "checkpoint")])
def test_a_full_disk_is_a_clear_error_and_the_run_can_go_on(
    toy: Toy, limit: int, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fills_up(toy, limit, file, capsys)


@pytest.mark.slow
@pytest.mark.usefixtures("drawn")
def test_a_picture_may_be_what_fills_the_disk(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    fills_up(toy, 12_000, "curves.png", capsys)
