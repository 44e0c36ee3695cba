"""Crops: what lies where, what is drawn, and that labels move with their pixels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pixprompt.segmentation import IGNORED
from pixprompt.segmentation.crops import Crops, base_size

from .toy import generator

FILL = (10, 20, 30)


def marked(height: int, width: int) -> tuple[Image.Image, np.ndarray]:
    """An image whose red channel says the label of every pixel."""
    labels = np.random.default_rng(0).integers(0, 200, (height, width), dtype=np.uint8)
    pixels = np.stack([labels, 255 - labels, labels // 2], -1)
    return Image.fromarray(pixels), labels


def test_at_its_own_scale_a_crop_is_a_slice() -> None:
    image, labels = marked(40, 50)
    pixels, cut = Crops((16, 24), FILL).cut(image, labels, (40, 50), (7, 11))
    assert np.array_equal(pixels, np.asarray(image)[7:23, 11:35])
    assert np.array_equal(cut, labels[7:23, 11:35])


@pytest.mark.parametrize("scaled", [(60, 75), (31, 38)])
def test_a_part_scaled_is_the_part_of_the_whole_scaled(scaled: tuple[int, int]) -> None:
    rows, columns = np.mgrid[0:40, 0:50]  # smooth, so that only the place matters
    image = Image.fromarray(np.stack([5 * columns, 6 * rows, 2 * rows + 2 * columns], -1).astype(np.uint8))
    labels = (rows // 4).astype(np.uint8)
    pixels, cut = Crops((16, 24), FILL).cut(image, labels, scaled, (5, 9))
    whole = np.asarray(image.resize(scaled[::-1], Image.Resampling.BILINEAR)).astype(int)
    assert abs(whole[5:21, 9:33] - pixels).max() <= 1
    other = np.asarray(Image.fromarray(labels).resize(scaled[::-1], Image.Resampling.NEAREST))
    assert (other[5:21, 9:33] != cut).mean() < 0.05
    assert abs(whole[6:22, 9:33] - pixels).max() > 1  # negative control: one row further


def test_outside_the_image_is_fill_and_ignored() -> None:
    image, labels = marked(20, 40)
    pixels, cut = Crops((32, 24), FILL).cut(image, labels, (20, 40), (0, 16))
    assert (pixels[20:] == FILL).all()
    assert (cut[20:] == IGNORED).all()
    assert np.array_equal(cut[:20], labels[:, 16:])


def test_labels_move_with_their_pixels() -> None:
    columns = np.mgrid[0:32, 0:32][1]
    labels = np.where(columns < 16, 10, 200).astype(np.uint8)
    image = Image.fromarray(np.stack([labels] * 3, -1))
    crops, sides = Crops((32, 32), (0, 0, 0)), set()
    for seed in range(12):
        pixels, cut = crops.draw(image, labels, generator=generator(seed))
        known = cut != IGNORED
        assert (abs(pixels[..., 0].astype(int) - cut)[known] > 100).mean() < 0.05
        sides.add((int(cut[0, 0]), bool(known.all())))
    assert {side for side, _ in sides} >= {10, 200}  # some are mirrored
    assert {whole for _, whole in sides} == {True, False}  # some are smaller than the crop


@pytest.mark.parametrize("photometric", [False, True])
def test_the_generator_decides_everything(photometric: bool) -> None:
    image, labels = marked(40, 50)
    crops = Crops((16, 16), FILL, photometric=photometric)
    first, again, other = (crops.draw(image, labels, generator=generator(seed)) for seed in (3, 3, 4))
    assert all(np.array_equal(left, right) for left, right in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_light_varies_but_labels_do_not() -> None:
    image, labels = marked(40, 50)
    plain, varied = (Crops((16, 16), FILL, photometric=on).draw(image, labels, generator=generator()) for on in (0, 1))
    assert np.array_equal(plain[1], varied[1])
    assert not np.array_equal(plain[0], varied[0])


def test_the_shorter_side_is_a_crop_and_panoramas_are_bounded() -> None:
    assert base_size((300, 600), (32, 32)) == (32, 64)
    assert base_size((600, 300), (32, 48)) == (64, 32)
    assert base_size((10, 1000), (32, 32)) == (1, 128)
