from __future__ import annotations

import errno
import json
import logging
import os
import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image

from pixprompt.canvas import Canvas
from pixprompt.core import ConfigError, DataError
from pixprompt.data import ImageSet, load_data, make_canvases
from pixprompt.data.cache import cache_folder
from pixprompt.data.image_set import from_arrays, from_files

MakeFolder = Callable[[dict[str, int]], Path]

CANVAS = Canvas((10, 12), fit="shrink", frame=2, fill=(1, 2, 3))
Counted = tuple[ImageSet, list[int]]


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def test_canvases_are_those_of_the_canvas(counted: Counted, tmp_path: Path) -> None:
    images, _ = counted
    made = make_canvases(images, CANVAS, cache=tmp_path)
    expected = np.stack([CANVAS.make(images.open(index)) for index in range(len(images))])
    np.testing.assert_array_equal(made.pixels, expected)
    assert (made.labels.tolist(), made.names, made.skipped) == (images.labels.tolist(), images.names, ())


def test_no_image_is_opened_twice(counted: Counted, tmp_path: Path) -> None:
    images, opened = counted
    ticks: list[int] = []
    first = make_canvases(images, CANVAS, cache=tmp_path, on_image=lambda: ticks.append(1))
    assert (sorted(opened), len(ticks)) == (list(range(12)), 12)
    second = make_canvases(images, CANVAS, cache=tmp_path, on_image=lambda: ticks.append(1))
    assert (len(opened), len(ticks)) == (12, 12)
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert second.labels.tolist() == first.labels.tolist()


def test_the_result_is_mapped_and_read_only(counted: Counted, tmp_path: Path) -> None:
    made = make_canvases(counted[0], CANVAS, cache=tmp_path)
    assert isinstance(made.pixels, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        made.pixels[0] = 0
    np.testing.assert_array_equal(np.load(only(tmp_path, "*.npy")), made.pixels)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("workers", [1, 4])
def test_workers_do_not_change_the_result(workers: int, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (700, 3, 5, 3), dtype=np.uint8)
    source = from_arrays(pixels, [0] * 700, prefix="noise")
    threads = set()

    def open_image(index: int) -> Image.Image:
        threads.add(threading.get_ident())
        time.sleep(0.002 * (index % 50 == 0))  # some are slower, so that they finish out of order
        return source.open(index)

    images = ImageSet(source.names, source.labels, source.keys, open_image)
    serial = make_canvases(images, CANVAS, cache=tmp_path / "0")
    assert threads == {threading.get_ident()}
    parallel = make_canvases(images, CANVAS, cache=tmp_path / "n", workers=workers)
    np.testing.assert_array_equal(serial.pixels, parallel.pixels)
    assert len(threads) > 1


def test_another_canvas_pillow_or_order_is_another_file(
    counted: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, opened = counted
    make_canvases(images, CANVAS, cache=tmp_path)
    make_canvases(images, Canvas((10, 12)), cache=tmp_path)
    made = make_canvases(images.subset(range(11, -1, -1)), CANVAS, cache=tmp_path)
    monkeypatch.setattr(PIL, "__version__", "0.0")
    make_canvases(images, CANVAS, cache=tmp_path)
    assert (len(opened), len(list(tmp_path.glob("*.npy")))) == (48, 4)
    np.testing.assert_array_equal(made.pixels[0], CANVAS.make(images.open(11)))


def test_a_changed_file_is_read_again(make_folder: MakeFolder, tmp_path: Path) -> None:
    path = make_folder({"cat": 1}) / "cat" / "000.png"
    before = make_canvases(from_files([path], [0]), CANVAS, cache=tmp_path)
    Image.new("RGB", (6, 4), (200, 100, 50)).save(path)
    after = make_canvases(from_files([path], [0]), CANVAS, cache=tmp_path)
    assert after.pixels[0, 5, 5].tolist() == [200, 100, 50]
    assert before.pixels[0, 5, 5].tolist() == [1, 0, 7]


def shorten(folder: Path) -> None:
    path = only(folder, "*.npy")
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(folder: Path) -> None:
    with only(folder, "*.npy").open("ab") as file:
        file.write(b"x")


def empty(folder: Path) -> None:
    only(folder, "*.npy").write_bytes(b"")


def overwrite_header(folder: Path) -> None:
    with only(folder, "*.npy").open("r+b") as file:
        file.write(b"garbage!")


def other_shape(folder: Path) -> None:
    path = only(folder, "*.npy")
    np.save(path, np.load(path).transpose(0, 2, 1, 3))


def other_type(folder: Path) -> None:
    path = only(folder, "*.npy")
    np.save(path, np.load(path).view(np.int8))


def no_json(folder: Path) -> None:
    only(folder, "*.json").unlink()


def bad_json(folder: Path) -> None:
    only(folder, "*.json").write_text('{"0": "unread')


def json_list(folder: Path) -> None:
    only(folder, "*.json").write_text("[1]")


def foreign_json(folder: Path) -> None:
    only(folder, "*.json").write_text('{"0": "unreadable"}')


@pytest.mark.parametrize(
    "damage",
    [shorten, lengthen, empty, overwrite_header, other_shape, other_type, no_json, bad_json, json_list, foreign_json],
)
def test_a_damaged_file_is_made_again(counted: Counted, tmp_path: Path, damage: Any) -> None:
    images, opened = counted
    expected = np.array(make_canvases(images, CANVAS, cache=tmp_path).pixels)
    damage(tmp_path)
    for _ in range(2):
        made = make_canvases(images, CANVAS, cache=tmp_path)
        np.testing.assert_array_equal(made.pixels, expected)
        assert made.skipped == ()
    assert len(opened) == 24, "made again once, then kept"


def test_an_object_array_in_the_cache_is_not_unpickled(counted: Counted, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "sprung"),)

    make_canvases(counted[0], CANVAS, cache=tmp_path)
    path = only(tmp_path, "*.npy")
    size = path.stat().st_size
    np.save(path, np.array([Trap()], dtype=object), allow_pickle=True)
    with path.open("ab") as file:
        file.write(b"\0" * (size - path.stat().st_size))
    make_canvases(counted[0], CANVAS, cache=tmp_path)
    assert not (tmp_path / "sprung").exists()


def unreadable_set(folder: Path) -> ImageSet:
    paths = sorted(folder.rglob("*.png"))
    paths[0].write_text("no picture")
    paths[3].write_bytes(b"")
    return from_files(paths, list(range(len(paths))))


def test_unreadable_images_are_named_and_remembered(
    make_folder: MakeFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = unreadable_set(make_folder({"cat": 6}))
    readable = [1, 2, 4, 5]
    results = [make_canvases(images, CANVAS, cache=tmp_path, workers=workers) for workers in (2, 0)]
    for made in results:
        assert made.labels.tolist() == readable
        assert made.names == tuple(images.names[index] for index in readable)
        assert [name for name, _ in made.skipped] == [images.names[0], images.names[3]]
        assert all(
            "not a readable image" in reason and name not in reason.split("(")[0] for name, reason in made.skipped
        )
        np.testing.assert_array_equal(made.pixels, np.stack([CANVAS.make(images.open(index)) for index in readable]))
    assert results[0].skipped == results[1].skipped
    assert set(json.loads(only(tmp_path, "*.json").read_text())) == {"0", "3"}
    assert "2 of 6 images cannot be read" in caplog.text


def test_unreadable_images_are_not_tried_twice(counted: Counted, tmp_path: Path, make_folder: MakeFolder) -> None:
    files = unreadable_set(make_folder({"cat": 6}))
    opened: list[int] = []

    def open_image(index: int) -> Image.Image:
        opened.append(index)
        return files.open(index)

    images = ImageSet(files.names, files.labels, files.keys, open_image)
    for _ in range(2):
        make_canvases(images, CANVAS, cache=tmp_path)
    assert len(opened) == 6


def test_nothing_readable_is_an_error_and_leaves_no_file(make_folder: MakeFolder, tmp_path: Path) -> None:
    images = unreadable_set(make_folder({"cat": 6})).subset([0, 3])
    folder = tmp_path / "cache"
    with pytest.raises(DataError, match=r"none of the 2 images.*000\.png: not a readable image"):
        make_canvases(images, CANVAS, cache=folder)
    assert list(folder.iterdir()) == []


def test_no_images_and_negative_workers(counted: Counted, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images"):
        make_canvases(counted[0].subset([]), CANVAS, cache=tmp_path)
    with pytest.raises(ConfigError, match="workers must be at least 0, got -1"):
        make_canvases(counted[0], CANVAS, cache=tmp_path, workers=-1)


def test_an_interrupt_leaves_no_file(counted: Counted, tmp_path: Path) -> None:
    images, _ = counted
    calls: list[int] = []

    def interrupt() -> None:
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_canvases(images, CANVAS, cache=tmp_path, on_image=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_swept(counted: Counted, tmp_path: Path) -> None:
    make_canvases(counted[0], CANVAS, cache=tmp_path)
    path = only(tmp_path, "*.npy")
    path.unlink()
    old, young = (tmp_path / f".{path.stem}.{name}.tmp" for name in ("old", "young"))
    old.write_text("x")
    young.write_text("x")
    os.utime(old, (time.time() - 7200,) * 2)
    make_canvases(counted[0], CANVAS, cache=tmp_path)
    assert (old.exists(), young.exists(), path.exists()) == (False, True, True)


def test_a_folder_that_cannot_be_made_means_memory(
    counted: Counted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images, opened = counted
    (tmp_path / "file").write_text("x")
    made = make_canvases(images, CANVAS, cache=tmp_path / "file" / "cache")
    np.testing.assert_array_equal(made.pixels[7], CANVAS.make(images.open(7)))
    assert (made.pixels.flags.writeable, len(opened)) == (False, 13)
    assert "set PIXPROMPT_CACHE" in caplog.text


@pytest.mark.parametrize("full_at", [0, 1, 5, 11])
def test_a_disk_that_fills_up_means_memory_and_nothing_is_opened_twice(
    counted: Counted, tmp_path: Path, caplog: pytest.LogCaptureFixture, full_at: int
) -> None:
    images, opened = counted
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    row = 10 * 12 * 3
    # The kernel cuts the file off in the middle of a row, as a full disk does.
    resource.setrlimit(resource.RLIMIT_FSIZE, (128 + full_at * row + 50, hard))
    try:
        made = make_canvases(images, CANVAS, cache=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(opened) == 12
    np.testing.assert_array_equal(made.pixels, np.stack([CANVAS.make(images.open(index)) for index in range(12)]))
    assert "File too large" in caplog.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_file_that_cannot_be_finished_means_memory(
    counted: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    images, opened = counted

    def fail(*_: object) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        made = make_canvases(images, CANVAS, cache=tmp_path)
    assert len(opened) == 12
    np.testing.assert_array_equal(made.pixels[11], CANVAS.make(images.open(11)))
    assert "Disk quota exceeded" in caplog.text
    assert list(tmp_path.glob("*.npy")) == []


def test_the_cache_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PIXPROMPT_CACHE", "~/here")
    assert cache_folder() == tmp_path / "here"
    monkeypatch.delenv("PIXPROMPT_CACHE")
    assert cache_folder() == tmp_path / ".cache" / "pixprompt" / "canvases"


@pytest.mark.assets
def test_real_photos(assets: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = load_data(f"folder:{assets / 'data' / 'flowers5'}", seed=0, shots=4)
    canvas = Canvas((64, 64), crop_pct=0.875)
    with caplog.at_level(logging.WARNING):
        made = make_canvases(data.train, canvas, cache=tmp_path, workers=2)
    assert (made.pixels.shape, made.skipped, caplog.text) == ((20, 64, 64, 3), (), "")
    np.testing.assert_array_equal(made.pixels[13], canvas.make(data.train.open(13)))
