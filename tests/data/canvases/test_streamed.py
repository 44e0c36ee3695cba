"""Canvases that are decoded as they are read: the same pixels, within bounds, at once."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixprompt.canvas import Canvas
from pixprompt.core import ConfigError, DataError, ImageError
from pixprompt.data import CanvasSet, ImageSet, make_canvases
from pixprompt.data.canvases import cache
from pixprompt.data.canvases.streamed import StreamedRows
from pixprompt.data.image_set import from_arrays

CANVAS = Canvas((4, 6))
ROW = 4 * 6 * 3
COUNT = 60


class Source:
    """Images in memory, the indices that were opened, and those that cannot be read."""

    def __init__(self, count: int = COUNT) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (count, 5, 7, 3), dtype=np.uint8)
        images = from_arrays(pixels, [index % 3 for index in range(count)], prefix="noise")
        self.opened: list[int] = []
        self.bad: set[int] = set()
        self.changed = threading.Condition()

        def open_image(index: int) -> Image.Image:
            with self.changed:
                self.opened.append(index)
                self.changed.notify_all()
            if index in self.bad:
                raise ImageError(f"{images.names[index]}: broken")
            return images.open(index)

        self.images = ImageSet(images.names, images.labels, images.keys, open_image)

    def wait_for(self, indices: set[int]) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: indices <= {*self.opened}, timeout=60)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything above ten images is streamed."""
    monkeypatch.setattr(cache, "AT_ONCE", 10)


def streamed(source: Source, folder: Path, workers: int = 2) -> CanvasSet:
    canvases = make_canvases(source.images, CANVAS, cache=folder, workers=workers)
    assert isinstance(canvases.pixels, StreamedRows)
    return canvases


def test_nothing_is_opened_before_it_is_read(source: Source, tmp_path: Path) -> None:
    canvases = streamed(source, tmp_path)
    assert source.opened == []
    assert (canvases.pixels.shape, len(canvases.pixels), canvases.labels.tolist()[:3]) == (
        (COUNT, 4, 6, 3),
        COUNT,
        [0, 1, 2],
    )
    assert not list(tmp_path.rglob("*.rows"))


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("chosen", [7, slice(3, 9), slice(None), [5, 5, 0], np.array([[1, 2], [59, -1]]), slice(4, 4)])
def test_the_pixels_are_those_of_the_canvas(source: Source, tmp_path: Path, workers: int, chosen: object) -> None:
    expected = np.stack([CANVAS.make(source.images.open(index)) for index in range(COUNT)])
    canvases = streamed(source, tmp_path, workers)
    part = canvases.pixels[chosen]  # type: ignore[index]
    np.testing.assert_array_equal(part, expected[chosen])  # type: ignore[index]
    assert part.flags.writeable
    np.testing.assert_array_equal(canvases.pixels[chosen], expected[chosen])  # type: ignore[index]


def test_what_was_decoded_is_stored_and_found_again(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixprompt.data.canvases.streamed._BATCH_BYTES", 4 * ROW)
    whole = streamed(source, tmp_path).pixels[:]
    assert sorted(source.opened) == list(range(COUNT))
    source.opened.clear()
    np.testing.assert_array_equal(make_canvases(source.images, CANVAS, cache=tmp_path).pixels[:], whole)
    assert len(source.opened) <= 5


def test_a_set_in_order_is_read_ahead(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixprompt.data.canvases.streamed._AHEAD", 4)
    canvases = streamed(source, tmp_path, workers=2)
    canvases.pixels[0:4]
    source.wait_for({*range(12)})
    assert max(source.opened) == 11
    canvases.pixels[4:8]
    source.wait_for({*range(16)})
    assert sorted(source.opened) == list(range(16))


def test_an_order_that_is_said_is_read_ahead(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixprompt.data.canvases.streamed._AHEAD", 3)
    canvases = streamed(source, tmp_path, workers=2)
    order = np.random.default_rng(1).permutation(COUNT)
    canvases.pixels.expect(order.tolist())
    source.wait_for({*order[:6].tolist()})
    assert len(source.opened) == 6
    first = canvases.pixels[order[:4]]
    source.wait_for({*order[:10].tolist()})
    np.testing.assert_array_equal(first, streamed(source, tmp_path / "other").pixels[order[:4]])


def test_the_next_of_its_class_stands_in_for_a_broken_image(
    source: Source, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source.bad = {4, 7}
    canvases = streamed(source, tmp_path)
    with caplog.at_level(logging.WARNING):
        rows = canvases.pixels[np.array([4, 7, 10, 5])]
        canvases.pixels[4]
    np.testing.assert_array_equal(rows[0], CANVAS.make(source.images.open(10)))
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_array_equal(rows[0], rows[2])
    assert canvases.labels[4] == canvases.labels[10]
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert "noise/04: broken; the next image of its class stands in for it" in messages[0]


def test_a_class_without_a_readable_image_is_an_error(source: Source, tmp_path: Path) -> None:
    source.bad = set(range(1, COUNT, 3))
    with pytest.raises(DataError, match="noise/04: neither it nor another image of its class can be read"):
        streamed(source, tmp_path).pixels[4]


def test_the_store_stays_within_its_limit_and_drops_the_oldest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixprompt.data.canvases.streamed._BATCH_BYTES", 2 * ROW)
    limit = 40 * ROW
    monkeypatch.setenv("PIXPROMPT_CACHE_GB", str(limit / 1e9))
    source = Source(200)
    canvases = streamed(source, tmp_path, workers=0)
    expected = np.stack([CANVAS.make(source.images.open(index)) for index in range(200)])
    for start in range(0, 200, 10):
        np.testing.assert_array_equal(canvases.pixels[start : start + 10], expected[start : start + 10])
        assert sum(path.stat().st_size for path in tmp_path.rglob("*.rows")) <= limit + 4 * ROW
    source.opened.clear()
    canvases.pixels[150:152]
    canvases.pixels[5]
    assert 5 in source.opened
    np.testing.assert_array_equal(canvases.pixels[:], expected)


def test_rows_that_another_run_has_removed_are_decoded_again(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixprompt.data.canvases.streamed._BATCH_BYTES", 0)
    canvases = streamed(source, tmp_path)
    whole = canvases.pixels[:]
    for path in tmp_path.rglob("*.rows"):
        path.unlink()
    np.testing.assert_array_equal(canvases.pixels[:], whole)


def test_a_full_disk_costs_time_and_no_memory(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pixprompt.data.canvases.streamed._BATCH_BYTES", 0)
    monkeypatch.setattr("pixprompt.data.canvases.store.os.fsync", fail)
    canvases = streamed(source, tmp_path)
    with caplog.at_level(logging.WARNING):
        first = canvases.pixels[:]
    np.testing.assert_array_equal(canvases.pixels[:], first)
    assert len(source.opened) == 2 * COUNT
    assert "No space left" in caplog.text


@pytest.mark.parametrize("text", ["0", "-1", "much", "nan", "inf"])
def test_a_senseless_limit_is_refused(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("PIXPROMPT_CACHE_GB", text)
    with pytest.raises(ConfigError, match="PIXPROMPT_CACHE_GB must be a positive number"):
        make_canvases(source.images, CANVAS, cache=tmp_path)


def test_settings_of_other_canvases_give_way_first(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a run is about to map is never removed, whatever its age."""
    monkeypatch.setattr(cache, "AT_ONCE", COUNT)
    monkeypatch.setenv("PIXPROMPT_CACHE_GB", str(2.2 * COUNT * ROW / 1e9))
    for frame in (0, 1):
        make_canvases(source.images, Canvas((4, 6), fit="shrink", frame=frame) if frame else CANVAS, cache=tmp_path)
    assert len(list(tmp_path.rglob("*.rows"))) == 2
    third = make_canvases(source.images, Canvas((4, 6), fill=(9, 9, 9), fit="shrink", frame=1), cache=tmp_path)
    assert len(list(tmp_path.rglob("*.rows"))) == 2
    assert third.pixels[:].shape == (COUNT, 4, 6, 3)


def test_the_same_image_twice_is_decoded_once_and_reading_ahead_goes_on(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixprompt.data.canvases.streamed._AHEAD", 2)
    keys = source.images.keys
    opened = source.images.open
    pairs = [*(index // 2 for index in range(12)), *range(12, COUNT)]
    source.images = replace(
        source.images, keys=tuple(keys[index] for index in pairs), open=lambda index: opened(pairs[index])
    )
    canvases = streamed(source, tmp_path, workers=1)
    for start in range(0, 12, 2):
        first, second = canvases.pixels[start : start + 2]
        np.testing.assert_array_equal(first, second)
    source.wait_for({12, 13})
    assert sorted(index for index in source.opened if index < 12) == list(range(6))
