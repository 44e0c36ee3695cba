from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixprompt.core import ImageError
from pixprompt.data.image_set import from_arrays, from_files, join


def test_memory_images_open_as_their_own_pixels() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (11, 3, 4, 3), dtype=np.uint8)
    images = from_arrays(pixels, list(range(11)), prefix="noise")
    assert images.names[7] == "noise/07"
    np.testing.assert_array_equal(np.asarray(images.open(7)), pixels[7])


def test_grey_memory_images_become_rgb() -> None:
    images = from_arrays(np.full((1, 2, 2), 9, np.uint8), [0], prefix="grey")
    assert np.asarray(images.open(0)).tolist() == [[[9, 9, 9]] * 2] * 2


def test_memory_keys_follow_the_content() -> None:
    pixels = np.zeros((2, 3, 3, 3), np.uint8)
    changed = pixels.copy()
    changed[1, 0, 0, 0] = 1
    keys = from_arrays(pixels, [0, 0], prefix="x").keys
    assert keys == from_arrays(pixels.copy(), [0, 1], prefix="x").keys
    assert not set(keys) & set(from_arrays(changed, [0, 0], prefix="x").keys)


def test_subset_of_a_subset_keeps_names_labels_keys_and_images_together() -> None:
    pixels = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1).repeat(3, axis=3)
    images = from_arrays(pixels, list(range(10)), prefix="x")
    chosen = images.subset([8, 3, 5]).subset(np.array([2, 0]))
    assert chosen.names == ("x/5", "x/8")
    assert chosen.labels.tolist() == [5, 8]
    assert chosen.keys == (images.keys[5], images.keys[8])
    assert [chosen.open(index).getpixel((0, 0)) for index in range(2)] == [(5, 5, 5), (8, 8, 8)]


def test_an_empty_subset_is_a_set() -> None:
    images = from_arrays(np.zeros((2, 1, 1), np.uint8), [0, 1], prefix="x").subset([])
    assert (len(images), images.labels.dtype) == (0, np.int64)


def test_join_keeps_order_and_opens_the_right_image() -> None:
    first = from_arrays(np.full((2, 1, 1), 10, np.uint8), [0, 1], prefix="a")
    second = from_arrays(np.full((1, 1, 1), 20, np.uint8), [4], prefix="b")
    both = join([first, second])
    assert both.names == ("a/0", "a/1", "b/0")
    assert both.labels.tolist() == [0, 1, 4]
    assert both.open(2).getpixel((0, 0)) == (20, 20, 20)


def test_file_keys_change_with_size_date_and_permissions(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (2, 2)).save(path)
    key = from_files([path], [0]).keys
    assert from_files([path], [0]).keys == key
    status = path.stat()
    path.chmod(0o600 if status.st_mode & 0o077 else 0o644)
    assert from_files([path], [0]).keys != key, "a file that became readable must be tried again"
    key = from_files([path], [0]).keys
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert from_files([path], [0]).keys != key


def test_a_broken_link_is_listed_and_fails_when_opened(tmp_path: Path) -> None:
    link = tmp_path / "a.png"
    link.symlink_to(tmp_path / "gone.png")
    images = from_files([link], [0])
    with pytest.raises(ImageError, match=r"a\.png"):
        images.open(0)


def test_files_are_opened_upright_and_rgb(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (8, 4), 77).save(tmp_path / "turned.jpg", exif=exif)
    image = from_files([tmp_path / "turned.jpg"], [0]).open(0)
    assert (image.size, image.mode) == ((4, 8), "RGB")
