"""The folder layout of ADE20K: what is found, how labels are read, and every way in which it can be wrong."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixprompt.core import ConfigError, DataError
from pixprompt.segmentation import IGNORED, load_segmentation

from .toy import shapes, write_set


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_set(tmp_path / "set", train=10, test=2, size=16)


def annotation(folder: Path, part: str = "validation") -> Path:
    return sorted((folder / "annotations" / part).iterdir())[0]


def test_splits_share_nothing_and_the_validation_folder_is_the_test(folder: Path) -> None:
    data = load_segmentation(f"ade20k:{folder}", val_images=3, seed=1)
    assert data.classes == shapes().CLASSES
    assert (len(data.train), len(data.val), len(data.test)) == (7, 3, 2)
    assert sorted((*data.train.images, *data.val.images)) == sorted((folder / "images/training").iterdir())
    assert {path.parent.name for path in data.test.images} == {"validation"}
    for part in (data.train, data.val, data.test):
        assert [path.stem for path in part.images] == [path.stem for path in part.annotations]
    assert load_segmentation(f"ade20k:{folder}", val_images=3, seed=2).val.images != data.val.images
    assert len(load_segmentation(f"ade20k:{folder}").val) == 1  # a tenth


def test_a_folder_above_does_and_without_names_there_are_150_classes(folder: Path) -> None:
    (folder / "objectInfo150.txt").unlink()
    folder.rename(folder.parent / "ADEChallengeData2016")
    data = load_segmentation(f"ade20k:{folder.parent}")
    assert (len(data.classes), data.classes[149]) == (150, "class 150")


@pytest.mark.parametrize("palette", [False, True])
def test_label_0_is_left_out_or_a_class_of_its_own(folder: Path, palette: bool) -> None:
    written = np.arange(256).reshape(16, 16) % 6
    written[0, 0] = IGNORED
    picture = Image.fromarray(written.astype(np.uint8))
    if palette:
        picture.putpalette([7] * 768)  # what the colours are does not matter
    picture.save(annotation(folder))
    image, reduced = load_segmentation(f"ade20k:{folder}").test.read(0)
    assert (image.mode, image.size) == ("RGB", (16, 16))
    assert np.array_equal(reduced, np.where((written == 0) | (written == IGNORED), IGNORED, written - 1))
    data = load_segmentation(f"ade20k:{folder}", reduce_zero_label=False)
    assert np.array_equal(data.test.read(0)[1], written)
    assert data.classes == ("other", *shapes().CLASSES)


def break_size(folder: Path) -> None:
    Image.new("L", (16, 15)).save(annotation(folder))


def break_range(folder: Path) -> None:
    Image.new("L", (16, 16), 6).save(annotation(folder))


def break_mode(folder: Path) -> None:
    Image.new("RGB", (16, 16)).save(annotation(folder))


def break_bytes(folder: Path) -> None:
    annotation(folder).write_bytes(b"no picture")


def break_image(folder: Path) -> None:
    (folder / "images/validation/validation_00000.jpg").write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (break_size, "16x15 pixels for an image of 16x16"),
        (break_range, "expected labels 0..5 (or 255 for pixels to leave out), got 6"),
        (break_mode, "expected an 8-bit PNG with one label per pixel, this one is RGB"),
        (break_bytes, ".png: not a readable image"),
        (break_image, "not a readable image"),
    ],
)
def test_an_odd_file_is_named_when_it_is_read(folder: Path, damage: object, words: str) -> None:
    damage(folder)
    test = load_segmentation(f"ade20k:{folder}").test  # lazy: nothing is decoded here
    with pytest.raises(DataError, match="validation_00000") as error:
        test.read(0)
    assert words in str(error.value)
    test.read(1)


def test_label_6_is_a_class_where_0_counts_as_one_but_not_7(folder: Path) -> None:
    Image.new("L", (16, 16), 5).save(annotation(folder))
    load_segmentation(f"ade20k:{folder}", reduce_zero_label=False).test.read(0)
    Image.new("L", (16, 16), 6).save(annotation(folder))
    with pytest.raises(DataError, match=r"0\.\.5"):
        load_segmentation(f"ade20k:{folder}", reduce_zero_label=False).test.read(0)


def test_missing_annotations_are_named(folder: Path) -> None:
    annotation(folder, "training").unlink()
    with pytest.raises(DataError, match=r"no \.png for 1 of 10 images: 'training_00000.jpg'"):
        load_segmentation(f"ade20k:{folder}")


def test_two_images_cannot_share_an_annotation(folder: Path) -> None:
    image = folder / "images/training/training_00000.jpg"
    image.with_suffix(".jpeg").write_bytes(image.read_bytes())
    with pytest.raises(DataError, match="share an annotation: 'training_00000'"):
        load_segmentation(f"ade20k:{folder}")


def test_stray_annotations_are_left_out_with_a_warning(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "images/training/training_00000.jpg").unlink()
    with caplog.at_level(logging.WARNING):
        data = load_segmentation(f"ade20k:{folder}")
    assert len(data.train) + len(data.val) == 9
    assert "'training_00000'" in caplog.text


@pytest.mark.parametrize("part", ["images/training", "annotations/validation"])
def test_missing_and_empty_folders_are_named(folder: Path, part: str) -> None:
    for path in (folder / part).iterdir():
        path.unlink()
    with pytest.raises(DataError, match=f"{part}: no images found"):
        load_segmentation(f"ade20k:{folder}")
    (folder / part).rmdir()
    with pytest.raises(DataError, match=f"{part}: no such folder; expected images/training"):
        load_segmentation(f"ade20k:{folder}")


@pytest.mark.parametrize("text", ["Idx\tName\n", "Idx\tName\n2\tsky\n", "Idx Name\n1 sky\n2 sea\n"])
def test_a_list_of_classes_of_another_form_is_refused(folder: Path, text: str) -> None:
    (folder / "objectInfo150.txt").write_text(text)
    with pytest.raises(DataError, match=r"objectInfo150\.txt: expected a heading"):
        load_segmentation(f"ade20k:{folder}")


@pytest.mark.parametrize("name", ["folder:x", "ade20k:", "ade20k"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="expected --data ade20k:PATH"):
        load_segmentation(name)


def test_selection_must_leave_images_to_train_on(folder: Path) -> None:
    with pytest.raises(ConfigError, match="10 of 10 training images"):
        load_segmentation(f"ade20k:{folder}", val_images=10)
