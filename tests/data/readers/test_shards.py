"""Tar archives of images and labels side by side."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixprompt.canvas import Canvas
from pixprompt.core import DataError
from pixprompt.data import load_data, make_canvases
from pixprompt.data.readers.shards import read_shards


def shard(path: Path, *members: tuple[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def image(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (value, 0, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two archives to train on and one to test on; image k has the colour k."""
    number = 0
    for name, count in (("train-000000", 6), ("train-000001", 6), ("test-000000", 4)):
        members = []
        for index in range(count):
            members += [(f"{index:04d}.png", image(number)), (f"{index:04d}.cls", str(number % 2).encode())]
            number += 1
        shard(tmp_path / f"{name}.tar", *members, ("0000.json", b"{}"))
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    return tmp_path


def test_splits_labels_and_images(folder: Path, tmp_path: Path) -> None:
    data = load_data(f"webdataset:{folder}", seed=0)
    assert data.classes == ("cat", "dog")
    assert [len(images) for images in (data.train, data.val, data.test)] == [10, 2, 4]
    for index, name in enumerate(data.test.names):
        assert "test-000000.tar/000" in name
        assert data.test.open(index).getpixel((0, 0))[0] == 12 + index
        assert data.test.labels[index] == index % 2
    canvases = make_canvases(data.test, Canvas((4, 4)), cache=tmp_path / "cache", workers=2)
    np.testing.assert_array_equal(canvases.pixels[:][:, 0, 0, 0], [12, 13, 14, 15])


def test_one_archive_is_the_training_set(folder: Path) -> None:
    assert [*read_shards(folder / "test-000000.tar").parts] == ["train"]


@pytest.mark.parametrize("folder", ["", "./", "v1.0/"])
def test_labels_may_be_names_and_members_lie_in_folders(folder: str, tmp_path: Path) -> None:
    contents = {"a.jpg": image(1), "a.cls": b"owl", "b.JPG": image(2), "b.cls": b"\xc2\xb2\n", "._a.jpg": b"junk"}
    shard(tmp_path / "train.tar", *((folder + name, content) for name, content in contents.items()))
    dataset = read_shards(tmp_path)
    assert dataset.classes == ("owl", "\u00b2")
    assert dataset.parts["train"].labels.tolist() == [0, 1]


def test_what_is_wrong_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found none"):
        read_shards(tmp_path / "empty")
    (folder / "classes.txt").write_text("cat\n")
    with pytest.raises(DataError, match=r"1 names, but there are labels '1'"):
        read_shards(folder)
    broken = folder / "train-000001.tar"
    broken.write_bytes(broken.read_bytes()[:700])
    with pytest.raises(DataError, match=r"train-000001.tar: damaged"):
        read_shards(folder)
    shard(broken, ("x.png", image(1)))
    with pytest.raises(DataError, match=r"1 images have no label \(.cls\): 'x'"):
        read_shards(folder)
