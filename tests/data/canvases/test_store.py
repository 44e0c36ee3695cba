"""The files of the canvas store: what damage, kills and writers side by side do to them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixprompt.canvas import Canvas
from pixprompt.core import DataError
from pixprompt.data import ImageSet, make_canvases
from pixprompt.data.canvases import CanvasRows, CanvasStore, cache as cache_module
from pixprompt.data.image_set import from_arrays

Counted = tuple[ImageSet, list[int]]

CANVAS = Canvas((4, 6))
ROW = 4 * 6 * 3


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.rglob(pattern)
    return path


@pytest.fixture
def rows() -> tuple[CanvasRows, np.ndarray]:
    """Seven canvases out of two sources, and the array that they should equal."""
    first, second = np.random.default_rng(0).integers(0, 256, (2, 5, 2, 3, 3), dtype=np.uint8)
    places = np.array([[0, 4], [1, 0], [1, 3], [0, 0], [0, 1], [1, 3], [0, 2]])
    expected = np.stack([(first, second)[source][row] for source, row in places])
    return CanvasRows([first, list(second)], places, (2, 3, 3)), expected


@pytest.mark.parametrize(
    "chosen",
    [0, -1, np.int64(3), slice(2, 5), slice(None), slice(5, 99), slice(None, None, -2), slice(3, 3), [6, 0, 0, 2],
     np.array([5, 1]), np.array([], dtype=np.int64), np.array([[0, 1], [-1, 2]])],
    ids=str,
)  # fmt: skip
def test_rows_are_chosen_as_from_an_array(rows: tuple[CanvasRows, np.ndarray], chosen: object) -> None:
    actual, expected = rows
    part = actual[chosen]  # type: ignore[index]
    np.testing.assert_array_equal(part, expected[chosen])  # type: ignore[index]
    assert (part.dtype, part.shape, part.flags.writeable) == (np.uint8, expected[chosen].shape, True)  # type: ignore[index]


def test_rows_look_like_an_array(rows: tuple[CanvasRows, np.ndarray]) -> None:
    actual, expected = rows
    assert (actual.shape, actual.dtype, len(actual)) == (expected.shape, expected.dtype, 7)
    np.testing.assert_array_equal(np.asarray(actual), expected)
    np.testing.assert_array_equal(np.stack(list(actual)), expected)  # type: ignore[call-overload]
    for outside in (7, -8, [0, 7]):
        with pytest.raises(IndexError):
            actual[outside]  # type: ignore[index]
    with pytest.raises(TypeError):
        actual[0] = 0  # type: ignore[index]


def shorten(folder: Path) -> None:
    os.truncate(only(folder, "*.rows"), 12 * ROW - 1)


def empty(folder: Path) -> None:
    only(folder, "*.rows").write_bytes(b"")


def no_rows(folder: Path) -> None:
    only(folder, "*.rows").unlink()


def foreign_line(folder: Path) -> None:
    path = only(folder, "*.index")
    path.write_text("garbage!\n" + path.read_text())


def binary_index(folder: Path) -> None:
    only(folder, "*.index").write_bytes(b"\xff\x00\n" * 9)


def zeros_after_a_power_cut(folder: Path) -> None:
    with only(folder, "*.index").open("ab") as file:
        file.write(bytes(40) + b"\n")


def too_many_lines(folder: Path) -> None:
    with only(folder, "*.index").open("a") as file:
        file.write("0" * 32 + "\n")


@pytest.mark.parametrize(
    "damage", [shorten, empty, no_rows, foreign_line, binary_index, zeros_after_a_power_cut, too_many_lines]
)
def test_damaged_files_are_made_again(
    counted: Counted, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    images, opened = counted
    expected = make_canvases(images, CANVAS, cache=tmp_path).pixels[:]
    damage(tmp_path)
    for _ in range(2):
        canvases = make_canvases(images, CANVAS, cache=tmp_path)
        np.testing.assert_array_equal(canvases.pixels, expected)
        assert canvases.skipped == ()
    assert len(opened) == 24, "made again once, then kept"
    assert len(caplog.records) == 1
    assert only(tmp_path, "*.rows").stat().st_size == 12 * ROW, "the damaged pair is gone"


def test_what_a_kill_leaves_after_the_last_whole_line_does_not_count(counted: Counted, tmp_path: Path) -> None:
    images, opened = counted
    expected = make_canvases(images, CANVAS, cache=tmp_path).pixels[:]
    index = only(tmp_path, "*.index")
    with index.open("r+b") as file:
        file.truncate(10 * 33 + 7)  # ten lines and a piece of one
    with only(tmp_path, "*.rows").open("ab") as file:
        file.write(b"a row cut short")
    opened.clear()
    np.testing.assert_array_equal(make_canvases(images, CANVAS, cache=tmp_path).pixels, expected)
    assert len(opened) == 2


def test_rows_without_a_line_are_swept_when_they_are_old(counted: Counted, tmp_path: Path) -> None:
    make_canvases(counted[0].subset([0]), CANVAS, cache=tmp_path)
    file = only(tmp_path, "*.rows")
    old, young, blank = (file.with_name(f"{name}.rows") for name in ("old", "young", "blank"))
    for path in (old, young, blank):
        path.write_text("x")
    blank.with_suffix(".index").write_text("")
    for path in (old, blank, file):
        os.utime(path, (time.time() - 7200,) * 2)
    make_canvases(counted[0], CANVAS, cache=tmp_path)
    assert [path.exists() for path in (old, blank, young, file)] == [False, False, True, True]


def test_files_that_cannot_be_opened_are_passed_over_and_stay(
    counted: Counted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_canvases(counted[0].subset([0]), CANVAS, cache=tmp_path)
    odd = only(tmp_path, "*.index").with_name("odd.index")
    odd.mkdir()
    make_canvases(counted[0], CANVAS, cache=tmp_path)
    assert (len(caplog.records), odd.exists(), len(counted[1])) == (1, True, 12)


def test_files_that_go_away_in_use_are_an_error(counted: Counted, tmp_path: Path) -> None:
    make_canvases(counted[0], CANVAS, cache=tmp_path)
    rows = only(tmp_path, "*.rows")
    digests = only(tmp_path, "*.index").read_text().split()
    store = CanvasStore(rows.parent, CANVAS.size, digests)
    rows.unlink()
    with pytest.raises(DataError, match="run again"):
        store.canvases(digests)


def test_a_store_sees_what_another_adds(tmp_path: Path) -> None:
    first, second = (CanvasStore(tmp_path, (1, 1), ["a" * 32, "b" * 32]) for _ in range(2))
    for number, digest in enumerate(["a" * 32, "c" * 32, "b" * 32]):
        first.add({digest: np.full((1, 1, 3), number, np.uint8)})
        second.refresh()
    assert ["a" * 32 in second, "b" * 32 in second, "c" * 32 in second] == [True, True, False]
    assert second.canvases(["b" * 32, "a" * 32])[:][:, 0, 0, 0].tolist() == [2, 0]


def test_a_line_counts_once_it_is_whole(tmp_path: Path) -> None:
    digests = ["a" * 32, "b" * 32]
    (tmp_path / "x.rows").write_bytes(bytes([1, 2, 3, 4, 5, 6]))
    index = tmp_path / "x.index"
    index.write_text("a" * 32 + "\n" + "b" * 20)
    store = CanvasStore(tmp_path, (1, 1), digests)
    assert [digest in store for digest in digests] == [True, False]
    with index.open("a") as file:
        file.write("b" * 12 + "\n")
    store.refresh()
    assert store.canvases(digests)[:].flatten().tolist() == [1, 2, 3, 4, 5, 6]


def test_threads_that_fill_one_store(counted: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_BLOCK", 2)
    images, _ = counted
    expected = np.stack([CANVAS.make(images.open(index)) for index in range(12)])
    actual: list[np.ndarray] = []

    def fill() -> None:
        actual.append(make_canvases(images, CANVAS, cache=tmp_path, workers=2).pixels[:])

    threads = [threading.Thread(target=fill) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(actual) == 4
    for pixels in actual:
        np.testing.assert_array_equal(pixels, expected)


_FILL = """
import sys, time
from pathlib import Path
import numpy as np
from pixprompt.canvas import Canvas
from pixprompt.data import ImageSet, make_canvases
from pixprompt.data.canvases import cache
from pixprompt.data.image_set import from_arrays
cache._BLOCK, cache._SECONDS = 8, float(sys.argv[2])
pixels = np.random.default_rng(0).integers(0, 256, (160, 4, 6, 3), dtype=np.uint8)
source = from_arrays(pixels, [0] * 160, prefix="noise")
opened = []
def open_image(index):
    time.sleep(0.005 if len(opened) < int(sys.argv[3]) else 3600)
    opened.append(index)
    return source.open(index)
images = ImageSet(source.names, source.labels, source.keys, open_image)
made = make_canvases(images, Canvas((4, 6)), cache=Path(sys.argv[1]))
np.testing.assert_array_equal(made.pixels, pixels)
print(len(opened))
"""


def filling(folder: Path, seconds: float, most: int) -> subprocess.Popen[str]:
    """A process that fills a store with 160 canvases, adding to it so often, and hangs after so many."""
    command = [sys.executable, "-c", _FILL, str(folder), str(seconds), str(most)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_for_lines(folder: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while sum(path.stat().st_size for path in folder.rglob("*.index")) < count * 33:
        assert time.monotonic() < deadline


def fill(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Does in this process what the other one does; returns how many images were opened."""
    monkeypatch.setattr(cache_module, "_BLOCK", 8)
    pixels = np.random.default_rng(0).integers(0, 256, (160, 4, 6, 3), dtype=np.uint8)
    source, opened = from_arrays(pixels, [0] * 160, prefix="noise"), []

    def open_image(index: int) -> Image.Image:
        time.sleep(0.005)
        opened.append(index)
        return source.open(index)

    images = ImageSet(source.names, source.labels, source.keys, open_image)
    np.testing.assert_array_equal(make_canvases(images, CANVAS, cache=folder).pixels, pixels)
    return len(opened)


def test_processes_that_fill_one_store_share_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = filling(tmp_path, 1.0, 160)
    wait_for_lines(tmp_path, 1)
    opened = fill(tmp_path, monkeypatch) + int(other.communicate()[0])
    assert 160 <= opened <= 256
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.rows")) == opened * ROW


def test_a_killed_process_loses_what_it_was_working_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = filling(tmp_path, 0.0, 50)
    wait_for_lines(tmp_path, 40)
    process.kill()
    process.communicate()
    lines = only(tmp_path, "*.index").read_text().count("\n")
    assert 40 <= lines <= 50
    assert fill(tmp_path, monkeypatch) == 160 - lines


def test_a_large_store_opens_at_once_and_stays_on_the_disk(tmp_path: Path) -> None:
    canvas, count = Canvas((64, 64)), 60_000
    labels = np.zeros(count, np.int64)
    names = tuple(f"{number:05d}" for number in range(count))

    def red(index: int) -> Image.Image:
        if index:
            raise AssertionError(f"image {index} is in the store")
        return Image.new("RGB", (64, 64), "red")

    images = ImageSet(names, labels, names, red)
    make_canvases(images.subset([0]), canvas, cache=tmp_path)
    digests = [hashlib.blake2b(name.encode(), digest_size=16).hexdigest() for name in names]
    only(tmp_path, "*.index").write_text("".join(f"{digest}\n" for digest in digests))
    os.truncate(only(tmp_path, "*.rows"), count * 64 * 64 * 3)
    start = time.process_time()
    canvases = make_canvases(images, canvas, cache=tmp_path)
    assert time.process_time() - start < 8, "expected 0.2 s; a search of the index for each image takes minutes"
    assert canvases.pixels[np.array([59_999, 0])][:, 0, 0].tolist() == [[0, 0, 0], [255, 0, 0]]
    tracemalloc.start()
    try:
        make_canvases(images.subset(range(10_000)), canvas, cache=tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 2**25, "all rows would take 117 MiB"
    finally:
        tracemalloc.stop()
