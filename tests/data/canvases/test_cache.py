from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image

from pixprompt.canvas import Canvas, decode
from pixprompt.core import ConfigError, DataError, ImageError
from pixprompt.data import ImageSet, load_data, make_canvases
from pixprompt.data.canvases.cache import cache_folder
from pixprompt.data.image_set import Collection, from_arrays, from_files, join
from pixprompt.data.readers.folders import read_folder, read_images
from pixprompt.data.splits import split

MakeFolder = Callable[[dict[str, int]], Path]

CANVAS = Canvas((10, 12), fit="shrink", frame=2, fill=(1, 2, 3))
Counted = tuple[ImageSet, list[int]]


ROW = 10 * 12 * 3


def stored_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.rows"))


def test_canvases_are_those_of_the_canvas(counted: Counted, tmp_path: Path) -> None:
    images, _ = counted
    canvases = make_canvases(images, CANVAS, cache=tmp_path)
    expected = np.stack([CANVAS.make(images.open(index)) for index in range(len(images))])
    np.testing.assert_array_equal(canvases.pixels, expected)
    assert (canvases.labels.tolist(), canvases.names, canvases.skipped) == (images.labels.tolist(), images.names, ())


def test_no_image_is_opened_twice(counted: Counted, tmp_path: Path) -> None:
    images, opened = counted
    ticks: list[int] = []
    first = make_canvases(images, CANVAS, cache=tmp_path, on_image=lambda: ticks.append(1))
    assert (sorted(opened), len(ticks)) == (list(range(12)), 12)
    second = make_canvases(images, CANVAS, cache=tmp_path, on_image=lambda: ticks.append(1))
    assert (len(opened), len(ticks)) == (12, 12)
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert second.labels.tolist() == first.labels.tolist()


def test_the_result_gives_arrays_of_its_own(counted: Counted, tmp_path: Path) -> None:
    canvases = make_canvases(counted[0], CANVAS, cache=tmp_path)
    whole = canvases.pixels[:]
    canvases.pixels[3][:] = 0
    canvases.pixels[2:5][:] = 0
    np.testing.assert_array_equal(canvases.pixels, whole)
    assert whole[3].any()


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


def test_another_canvas_or_pillow_is_another_store(
    counted: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, opened = counted
    make_canvases(images, CANVAS, cache=tmp_path)
    make_canvases(images, Canvas((10, 12)), cache=tmp_path)
    monkeypatch.setattr(PIL, "__version__", "0.0")
    make_canvases(images, CANVAS, cache=tmp_path)
    assert (len(opened), len(list(tmp_path.iterdir()))) == (36, 3)


def counting(images: ImageSet) -> Counted:
    opened: list[int] = []

    def open_image(index: int) -> Image.Image:
        opened.append(index)
        return images.open(index)

    return ImageSet(images.names, images.labels, images.keys, open_image), opened


def test_no_other_seed_split_number_of_shots_or_order_decodes_again(make_folder: MakeFolder, tmp_path: Path) -> None:
    dataset = read_folder(make_folder({"cat": 20, "dog": 20}))
    images, opened = counting(dataset.parts["train"])
    dataset = Collection(dataset.classes, {"train": images})
    cache = tmp_path / "cache"

    def use(seed: int, shots: int | None) -> None:
        data = split(dataset, name="x", seed=seed, shots=shots)
        for part in (data.train, data.val, data.test):
            canvases = make_canvases(part, CANVAS, cache=cache)
            np.testing.assert_array_equal(
                canvases.pixels, [CANVAS.make(found_image) for found_image in originals(part)]
            )
            assert canvases.labels.tolist() == part.labels.tolist()

    def originals(part: ImageSet) -> list[Image.Image]:
        return [decode(name) for name in part.names]

    use(seed=0, shots=2)
    assert len(opened) == 4 + 4 + 8, "2 classes: 2 shots in train and in val, and 4 images of test"
    assert stored_bytes(cache) == 16 * ROW
    use(seed=0, shots=None)
    use(seed=1, shots=None)
    use(seed=2, shots=5)
    joined = join([images.subset([39, 3]), images.subset(range(40))])
    np.testing.assert_array_equal(
        make_canvases(joined, CANVAS, cache=cache).pixels[0], CANVAS.make(decode(images.names[39]))
    )
    assert sorted(opened) == list(range(40))
    assert stored_bytes(cache) == 40 * ROW


def test_an_image_more_decodes_one_image(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder({"cat": 5})
    make_canvases(read_images(root), CANVAS, cache=tmp_path / "cache")
    Image.new("RGB", (6, 4), (200, 100, 50)).save(root / "cat" / "000a.png")
    images, opened = counting(read_images(root))
    canvases = make_canvases(images, CANVAS, cache=tmp_path / "cache")
    assert opened == [1]
    assert canvases.pixels[1][5, 5].tolist() == [200, 100, 50]


def test_a_changed_file_is_read_again(make_folder: MakeFolder, tmp_path: Path) -> None:
    path = make_folder({"cat": 1}) / "cat" / "000.png"
    before = make_canvases(from_files([path], [0]), CANVAS, cache=tmp_path)
    Image.new("RGB", (6, 4), (200, 100, 50)).save(path)
    after = make_canvases(from_files([path], [0]), CANVAS, cache=tmp_path)
    assert after.pixels[0][5, 5].tolist() == [200, 100, 50]
    assert before.pixels[0][5, 5].tolist() == [1, 0, 7]


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
    for cached in results:
        assert cached.labels.tolist() == readable
        assert cached.names == tuple(images.names[index] for index in readable)
        assert [name for name, _ in cached.skipped] == [images.names[0], images.names[3]]
        assert all(
            "not a readable image" in reason and name not in reason.split("(")[0] for name, reason in cached.skipped
        )
        np.testing.assert_array_equal(cached.pixels, np.stack([CANVAS.make(images.open(index)) for index in readable]))
    assert results[0].skipped == results[1].skipped
    assert "2 of 6 images cannot be read" in caplog.text


def test_unreadable_images_are_not_tried_twice(tmp_path: Path, make_folder: MakeFolder) -> None:
    images, opened = counting(unreadable_set(make_folder({"cat": 6})))
    for _ in range(2):
        make_canvases(images, CANVAS, cache=tmp_path)
    assert len(opened) == 6


def test_nothing_readable_is_an_error_each_time(make_folder: MakeFolder, tmp_path: Path) -> None:
    images = unreadable_set(make_folder({"cat": 6})).subset([0, 3])
    for _ in range(2):
        with pytest.raises(DataError, match=r"none of the 2 images.*000\.png: not a readable image"):
            make_canvases(images, CANVAS, cache=tmp_path / "cache")


def test_a_reason_of_several_lines_stays_one_reason(counted: Counted, tmp_path: Path) -> None:
    images, _ = counted

    def open_image(index: int) -> Image.Image:
        if index == 4:
            raise ImageError(f"{images.names[4]}: two\nlines, \udcff and \u2028.")
        if index == 5:
            raise ImageError("")
        return images.open(index)

    bad = ImageSet(images.names, images.labels, images.keys, open_image)
    cached = [make_canvases(bad, CANVAS, cache=tmp_path) for _ in range(2)]
    assert cached[0].skipped[0] == (images.names[4], "two lines, \udcff and")
    assert [cached[1].skipped[0][1], cached[1].skipped[1][1]] == ["two lines, \\udcff and", "unreadable"]
    np.testing.assert_array_equal(cached[0].pixels, cached[1].pixels)


def test_no_images_and_negative_workers(counted: Counted, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images"):
        make_canvases(counted[0].subset([]), CANVAS, cache=tmp_path)
    with pytest.raises(ConfigError, match="workers must be at least 0, got -1"):
        make_canvases(counted[0], CANVAS, cache=tmp_path, workers=-1)


@pytest.mark.parametrize("workers", [0, 2])
def test_after_an_interrupt_only_the_rest_is_decoded(counted: Counted, tmp_path: Path, workers: int) -> None:
    images, opened = counted
    calls: list[int] = []

    def interrupt() -> None:
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_canvases(images, CANVAS, cache=tmp_path, workers=workers, on_image=interrupt)
    opened.clear()
    canvases = make_canvases(images, CANVAS, cache=tmp_path)
    assert len(opened) == 7
    np.testing.assert_array_equal(canvases.pixels, np.stack([CANVAS.make(images.open(index)) for index in range(12)]))


_LARGE = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
from pixprompt.canvas import Canvas, decode
from pixprompt.data import make_canvases
from pixprompt.data.image_set import from_files
Image.MAX_IMAGE_PIXELS = 1000  # Pillow remarks on 1001 to 2000 pixels
folder = Path(sys.argv[1])
for number in range(8):
    Image.new("RGB", (40, 40), (number, 0, 0)).save(folder / f"{number}.png")
images = from_files(sorted(folder.glob("*.png")), [0] * 8)
made = make_canvases(images, Canvas((4, 4)), cache=folder / "cache", workers=3)
sys.exit(str(made.skipped) if made.skipped else 0)
"""


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
        canvases = make_canvases(data.train, canvas, cache=tmp_path, workers=2)
    assert (canvases.pixels.shape, canvases.skipped, caplog.text) == ((20, 64, 64, 3), (), "")
    np.testing.assert_array_equal(canvases.pixels[13], canvas.make(data.train.open(13)))
