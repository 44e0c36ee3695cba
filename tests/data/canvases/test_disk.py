"""A disk that takes no more canvases: memory, a warning, and no image opened twice."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import numpy as np
import pytest

from pixprompt.canvas import Canvas
from pixprompt.data import ImageSet, make_canvases
from pixprompt.data.canvases import cache as cache_module

CANVAS = Canvas((10, 12), fit="shrink", frame=2, fill=(1, 2, 3))
Counted = tuple[ImageSet, list[int]]
ROW = 10 * 12 * 3


def stored_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.rows"))


def test_a_folder_that_cannot_be_made_means_memory(
    counted: Counted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images, opened = counted
    (tmp_path / "file").write_text("x")
    canvases = make_canvases(images, CANVAS, cache=tmp_path / "file" / "cache")
    np.testing.assert_array_equal(canvases.pixels[7], CANVAS.make(images.open(7)))
    assert len(opened) == 13
    assert "set PIXPROMPT_CACHE" in caplog.text


@pytest.mark.parametrize("full_at", [0, 1, 5, 11])
def test_a_disk_that_fills_up_means_memory_and_nothing_is_opened_twice(
    counted: Counted,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    full_at: int,
) -> None:
    images, opened = counted
    monkeypatch.setattr(cache_module, "_SECONDS", 0.0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The kernel cuts the file off in the middle of a row, as a full disk does.
    resource.setrlimit(resource.RLIMIT_FSIZE, (full_at * ROW + 50, hard))
    try:
        canvases = make_canvases(images, CANVAS, cache=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(opened) == 12
    expected = np.stack([CANVAS.make(images.open(index)) for index in range(12)])
    np.testing.assert_array_equal(canvases.pixels, expected)
    assert caplog.text.count("File too large") == 1
    assert stored_bytes(tmp_path) == full_at * ROW
    opened.clear()
    np.testing.assert_array_equal(make_canvases(images, CANVAS, cache=tmp_path).pixels, expected)
    assert len(opened) == 12 - full_at, "what the disk took is used, the rest is decoded again"


def test_rows_that_do_not_reach_the_disk_mean_memory(
    counted: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    images, opened = counted

    def fail(*_: object) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        canvases = make_canvases(images, CANVAS, cache=tmp_path)
    assert len(opened) == 12
    np.testing.assert_array_equal(canvases.pixels[11], CANVAS.make(images.open(11)))
    assert "Disk quota exceeded" in caplog.text
    assert stored_bytes(tmp_path) == 0
