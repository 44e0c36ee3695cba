"""Features of whole sets: computed once, resumed to the bit, whatever the sizes of images and whatever is broken."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pixprompt.diagnostics.features.feature_store as module
from pixprompt.core import DataError, PixpromptError
from pixprompt.data import from_arrays, from_files
from pixprompt.diagnostics.features.extract import Extractor
from pixprompt.diagnostics.features.feature_store import FeatureSet, extract

from .toy import DIM, Projection, picture_set, pictures, toy_extractor

BLOCK = 32


def files_of(cache: Path) -> list[Path]:
    return sorted((cache / "diagnostics/features").iterdir())


def test_rows_are_the_features_in_order_and_mapped(tmp_path: Path) -> None:
    labels = list(range(70))
    calls: list[int] = []
    features = extract(
        picture_set(70, 1, labels), toy_extractor(), cache=tmp_path, workers=2, on_image=lambda: calls.append(1)
    )
    expected = toy_extractor()(pictures(70, 1))
    np.testing.assert_allclose(features.rows, expected, rtol=1e-6)
    assert isinstance(features.rows, np.memmap)
    assert features.rows.dtype == np.float32
    assert list(features.labels) == labels
    assert len(calls) == 70


def test_computed_once_for_the_same_images_and_extractor(tmp_path: Path) -> None:
    projection = Projection()
    first = extract(picture_set(40, 1), toy_extractor(projection), cache=tmp_path)
    again = extract(picture_set(40, 1), toy_extractor(projection), cache=tmp_path)
    assert projection.images == 40
    np.testing.assert_array_equal(first.rows, again.rows)
    assert first.digest == again.digest
    others = [
        extract(picture_set(40, 2), toy_extractor(projection), cache=tmp_path),
        extract(picture_set(39, 1), toy_extractor(projection), cache=tmp_path),
        extract(picture_set(40, 1), toy_extractor(projection, name="other"), cache=tmp_path),
    ]
    assert projection.images == 40 + 40 + 39 + 40
    assert len({first.digest, *(other.digest for other in others)}) == 4


def interrupted(cache: Path, *, stop_at: int, total: int = 200) -> None:
    with pytest.raises(KeyboardInterrupt):
        extract(picture_set(total, 1), toy_extractor(Projection(stop_at)), cache=cache)


def test_resumes_after_an_interruption_with_identical_numbers(tmp_path: Path) -> None:
    whole = extract(picture_set(200, 1), toy_extractor(), cache=tmp_path / "whole")
    interrupted(tmp_path / "parts", stop_at=4)
    interrupted(tmp_path / "parts", stop_at=2)
    projection, calls = Projection(), []
    resumed = extract(
        picture_set(200, 1), toy_extractor(projection), cache=tmp_path / "parts", on_image=lambda: calls.append(1)
    )
    assert projection.images == 200 - 4 * BLOCK
    assert len(calls) == 200  # kept images count as done, so that a bar starts where the last one ended
    assert whole.rows.tobytes() == resumed.rows.tobytes()


def test_rows_that_a_kill_left_untold_do_not_count(tmp_path: Path) -> None:
    whole = extract(picture_set(200, 1), toy_extractor(), cache=tmp_path / "whole")
    interrupted(tmp_path / "parts", stop_at=4)
    progress, rows = files_of(tmp_path / "parts")
    with rows.open("ab") as file:
        file.write(b"half a row")
    assert json.loads(progress.read_text())["done"] == 3 * BLOCK
    resumed = extract(picture_set(200, 1), toy_extractor(), cache=tmp_path / "parts")
    assert whole.rows.tobytes() == resumed.rows.tobytes()


def test_two_runs_at_once_leave_the_same_file(tmp_path: Path) -> None:
    """Both begin at nothing and overtake each other; either may be killed, and the rows that are told of are right."""
    whole = extract(picture_set(200, 1), toy_extractor(), cache=tmp_path / "whole")

    class Overtaken(Projection):
        def __call__(self, canvases):  # type: ignore[no-untyped-def]
            if self.calls == 2:
                interrupted(tmp_path / "both", stop_at=5)
            return super().__call__(canvases)

    with pytest.raises(KeyboardInterrupt):
        extract(picture_set(200, 1), toy_extractor(Overtaken(stop_at=4)), cache=tmp_path / "both")
    resumed = extract(picture_set(200, 1), toy_extractor(), cache=tmp_path / "both")
    assert whole.rows.tobytes() == resumed.rows.tobytes()


@pytest.mark.parametrize("damage", ["{", "{}", '{"done": 200, "rows": 200, "skipped": []}', "[]"])
def test_damaged_files_are_computed_again(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    whole = extract(picture_set(200, 1), toy_extractor(), cache=tmp_path / "whole")
    interrupted(tmp_path / "parts", stop_at=4)
    files_of(tmp_path / "parts")[0].write_text(damage)
    with caplog.at_level(logging.WARNING):
        again = extract(picture_set(200, 1), toy_extractor(), cache=tmp_path / "parts")
    assert "computed again" in caplog.text
    assert whole.rows.tobytes() == again.rows.tobytes()


def test_unreadable_images_are_left_out_and_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = []
    for number, pixels in enumerate(pictures(40, 1)):
        paths.append(tmp_path / f"{number:02d}.png")
        Image.fromarray(pixels).save(paths[-1])
    for broken in (3, 35):
        paths[broken].write_text("no picture")
    images = from_files(paths, list(range(40)))
    with caplog.at_level(logging.WARNING):
        features = extract(images, toy_extractor(), cache=tmp_path / "cache")
    good = [n for n in range(40) if n not in (3, 35)]
    np.testing.assert_allclose(features.rows, toy_extractor()(pictures(40, 1)[good]), rtol=1e-6, atol=1e-6)
    assert list(features.labels) == good
    assert [name for name, _ in features.skipped] == [str(paths[3]), str(paths[35])]
    assert "2 of 40 images" in caplog.text
    vectors = extract(images, toy_extractor(), cache=tmp_path / "cache")
    assert (vectors.skipped, list(vectors.labels)) == (features.skipped, good)
    with pytest.raises(DataError, match="none of the 1 images"):
        extract(images.subset([3]), toy_extractor(), cache=tmp_path / "cache")


def test_images_of_many_sizes_reach_an_extractor_that_resizes_inside(tmp_path: Path) -> None:
    shapes: list[tuple[int, ...]] = []

    class Sizes(Projection):
        def __call__(self, canvases):  # type: ignore[no-untyped-def]
            shapes.extend(canvas.shape for canvas in canvases)
            return super().__call__([np.resize(canvas, (16, 16, 3)) for canvas in canvases])

    paths = []
    for number, (width, height) in enumerate([(30, 20), (16, 16), (9, 50)]):
        paths.append(tmp_path / f"{number}.png")
        Image.new("RGB", (width, height), (number, 9, 9)).save(paths[-1])
    extractor = Extractor("native", "inception", "", DIM, None, "inside", Sizes())
    assert len(extract(from_files(paths, [0, 0, 0]), extractor, cache=tmp_path / "cache")) == 3
    assert shapes == [(20, 30, 3), (16, 16, 3), (50, 9, 3)]


def test_memory_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more canvases are alive than those of a block."""
    alive, most = 0, 0
    make = module.Extractor.__call__

    def counted(self: Extractor, images: list[np.ndarray]) -> np.ndarray:
        nonlocal alive, most
        alive = len(images)
        most = max(most, alive)
        return make(self, images)

    monkeypatch.setattr(module.Extractor, "__call__", counted)
    extract(picture_set(500, 1), toy_extractor(), cache=tmp_path, workers=2)
    assert most == BLOCK


def test_a_cache_that_cannot_be_written_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "diagnostics").write_text("a file in the way")
    with pytest.raises(PixpromptError, match="cannot create the folder"):
        extract(picture_set(3, 1), toy_extractor(), cache=tmp_path)


def test_no_images_are_refused(tmp_path: Path) -> None:
    empty = from_arrays(np.zeros((0, 4, 4, 3), np.uint8), [], prefix="none")
    with pytest.raises(DataError, match="no images"):
        extract(empty, toy_extractor(), cache=tmp_path)
    assert isinstance(extract(picture_set(1, 1), toy_extractor(), cache=tmp_path), FeatureSet)
