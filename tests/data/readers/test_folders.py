from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixprompt.core import DataError
from pixprompt.data import load_data, load_images
from pixprompt.data.readers.folders import read_folder, read_images

MakeFolder = Callable[[dict[str, int]], Path]

SPLIT = {"train/cat": 5, "train/dog": 4, "test/cat": 2, "test/dog": 3}


def test_given_splits(make_folder: MakeFolder) -> None:
    dataset = read_folder(make_folder(SPLIT))
    assert dataset.classes == ("cat", "dog")
    assert {part: images.labels.tolist() for part, images in dataset.parts.items()} == {
        "train": [0] * 5 + [1] * 4,
        "test": [0] * 2 + [1] * 3,
    }
    assert dataset.parts["test"].names[2].endswith(os.path.join("test", "dog", "000.png"))


@pytest.mark.parametrize("name", ["val", "valid", "Validation"])
def test_val_has_several_names(make_folder: MakeFolder, name: str) -> None:
    dataset = read_folder(make_folder({**SPLIT, f"{name}/cat": 1, f"{name}/dog": 1}))
    assert len(dataset.parts["val"]) == 2


def test_two_folders_for_one_split(make_folder: MakeFolder) -> None:
    with pytest.raises(DataError, match="'val' and 'valid' are both the val split"):
        read_folder(make_folder({**SPLIT, "val/cat": 1, "valid/cat": 1}))


def test_flat_folder_is_split_by_the_seed(make_folder: MakeFolder) -> None:
    root = make_folder({"cat": 10, "dog": 20})
    data = load_data(f"folder:{root}", seed=0)
    assert [np.bincount(s.labels).tolist() for s in (data.train, data.val, data.test)] == [[6, 13], [2, 3], [2, 4]]
    assert all(
        Path(name).parent.name == data.classes[label]
        for name, label in zip(data.test.names, data.test.labels, strict=True)
    )


def test_a_class_called_train_is_a_class(make_folder: MakeFolder) -> None:
    assert read_folder(make_folder({"bus": 3, "train": 3})).classes == ("bus", "train")


def test_splits_without_class_folders_are_no_classes(make_folder: MakeFolder) -> None:
    with pytest.raises(DataError, match="one folder per class inside"):
        read_folder(make_folder({"train": 3, "test": 3}))


def test_order_does_not_depend_on_the_file_system(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_folder({"dog": 8, "cat": 8})
    before = load_data(f"folder:{root}", seed=1)
    real = os.scandir

    class Reversed:
        def __init__(self, path: Any) -> None:
            with real(path) as entries:
                self.entries = list(entries)[::-1]

        def __enter__(self) -> Any:
            return iter(self.entries)

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(os, "scandir", Reversed)
    after = load_data(f"folder:{root}", seed=1)
    assert (before.train.names, before.val.names) == (after.train.names, after.val.names)


def test_hidden_and_foreign_files_are_left_out_quietly(
    make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folder({"cat": 3, "dog": 3})
    for name in ("cat/.DS_Store", "cat/._000.png", "dog/Thumbs.db", "dog/labels.txt", "README.md"):
        (root / name).write_text("x")
    (root / ".git").mkdir()
    (root / "__MACOSX").mkdir()
    with caplog.at_level(logging.DEBUG):
        dataset = read_folder(root)
    assert (dataset.classes, len(dataset.parts["train"]), caplog.text) == (("cat", "dog"), 6, "")


def test_upper_case_suffixes_count(make_folder: MakeFolder) -> None:
    root = make_folder({"cat": 1, "dog": 1})
    (root / "cat" / "000.png").rename(root / "cat" / "000.PNG")
    assert len(read_folder(root).parts["train"]) == 2


def test_what_is_left_out_is_said(make_folder: MakeFolder, caplog: pytest.LogCaptureFixture) -> None:
    root = make_folder({**SPLIT, "extra/cat": 1, "train/cat/deep": 2})
    Image.new("RGB", (1, 1)).save(root / "loose.png")
    with caplog.at_level(logging.WARNING):
        dataset = read_folder(root)
    assert len(dataset.parts["train"]) == 9
    for message in ("1 images lie beside", "left out: 'extra'", "left out: 'deep'"):
        assert message in caplog.text


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"cat": 5, "dog": 0}, "without a single image: 'dog'"),
        ({"cat": 5, "dog": 1}, r"'dog \(1\)'.*at least 3"),
        ({"train/cat": 5, "train/dog": 0, "test/cat": 1, "test/dog": 0}, "without a single image: 'dog'"),
        ({"train/cat": 5, "train/dog": 5, "test/cat": 1, "test/owl": 1}, "test has classes that train lacks: 'owl'"),
        ({"sea_lion": 3, "Sea Lion": 3}, "'Sea Lion' and 'sea_lion' differ only"),
        ({"train/cat": 5, "train/dog": 5, "test/Cat": 1, "test/dog": 1}, "lacks: 'Cat'|'Cat' and 'cat' differ only"),
        ({"test/cat": 5, "test/dog": 5}, "no train split"),
        ({"cat": 5}, "at least two classes"),
        ({".": 3}, "3 images without class folders.*csv:FILE"),
        ({".": 0}, "found no images"),
    ],
)
def test_bad_folders_are_explained(make_folder: MakeFolder, counts: dict[str, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_data(f"folder:{make_folder(counts)}", seed=0)


def test_missing_folder_and_file_for_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        read_folder(tmp_path / "nowhere")
    (tmp_path / "file.txt").write_text("x")
    with pytest.raises(DataError, match="expected a folder, this is a file"):
        read_folder(tmp_path / "file.txt")


@pytest.mark.parametrize("unreadable", ["", "cat"])
def test_unreadable_folder_is_named(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, unreadable: str) -> None:
    root = make_folder({"cat": 3, "dog": 3})
    real = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path) == root / unreadable:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=rf"{root / unreadable}: the folder cannot be read \(Permission denied\)"):
        read_folder(root)


def test_images_without_classes_are_unlabelled(make_folder: MakeFolder) -> None:
    images = read_images(make_folder({".": 4}))
    assert images.labels.tolist() == [-1] * 4
    assert images.open(3).getpixel((0, 0)) == (4, 0, 7)


def test_no_image_is_lost_when_labels_do_not_matter(make_folder: MakeFolder, caplog: pytest.LogCaptureFixture) -> None:
    root = make_folder({"train": 1, "test": 0, "a/b/c": 1, ".": 2})
    images = read_images(root)
    assert [str(Path(name).relative_to(root)) for name in images.names] == [
        "000.png", "001.png", "a/b/c/000.png", "train/000.png",
    ]  # fmt: skip
    assert images.labels.tolist() == [-1] * 4
    assert caplog.text == ""


def test_one_image_file(make_folder: MakeFolder) -> None:
    path = make_folder({"cat": 1}) / "cat" / "000.png"
    for name in (str(path), f"folder:{path}"):
        images = load_images(name)
        assert (images.names, images.labels.tolist()) == ((str(path),), [-1])


def test_no_images_at_all(make_folder: MakeFolder) -> None:
    with pytest.raises(DataError, match=r"no images found; known suffixes: .*\.png"):
        read_images(make_folder({"cat": 0}))


@pytest.mark.assets
def test_real_folders(assets: Path) -> None:
    cifar = load_data(f"folder:{assets / 'data' / 'cifar10'}", seed=0)
    assert [len(s) for s in (cifar.train, cifar.val, cifar.test)] == [4000, 1000, 2000]
    assert all((np.bincount(s.labels) == len(s) // 10).all() for s in (cifar.train, cifar.val, cifar.test))
    assert cifar.classes[:3] == ("airplane", "automobile", "bird")
    flowers = load_data(f"folder:{assets / 'data' / 'flowers5'}", seed=0, shots=16)
    assert flowers.classes == ("daisy", "dandelion", "rose", "sunflower", "tulip")
    assert [len(s) for s in (flowers.train, flowers.val, flowers.test)] == [80, 80, 500]
    assert flowers.train.open(0).size == (128, 128)


@pytest.mark.assets
def test_real_images_without_classes(assets: Path) -> None:
    images = load_images(f"folder:{assets / 'data' / 'imagenet-samples'}")
    assert (len(images), set(images.labels.tolist())) == (1000, {-1})
    assert images.open(0).size == (256, 256)


def test_splits_of_other_names_are_chosen(make_folder: MakeFolder) -> None:
    root = make_folder({f"{part}/{name}": 6 for part in ("training", "holdout") for name in ("cat", "dog")})
    data = load_data(f"folder:{root}", splits="train=training,test=holdout")
    assert data.classes == ("cat", "dog")
    assert [len(images) for images in (data.train, data.val, data.test)] == [10, 2, 12]
    assert {Path(name).parent.parent.name for name in data.test.names} == {"holdout"}
    assert data.notes[:2] == ("train: training (--split)", "test: holdout (--split)")


def test_a_usual_name_can_be_chosen_too(make_folder: MakeFolder) -> None:
    root = make_folder({"train/cat": 6, "train/dog": 6, "val/cat": 2, "val/dog": 3})
    data = load_data(f"folder:{root}", splits="test=val")
    assert [len(images) for images in (data.train, data.val, data.test)] == [10, 2, 5]
    with pytest.raises(DataError, match="there is no 'holdout', only 'train', 'val'"):
        load_data(f"folder:{root}", splits="test=holdout")
