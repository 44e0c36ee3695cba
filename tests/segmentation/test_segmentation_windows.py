"""Sliding windows and scales: what they cover, how they average, and that bands are the whole."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from pixprompt.segmentation import SCALES, Windows
from pixprompt.segmentation.inference import label_map, window_starts

from ..images import picture
from .toy import SIZE, generator, toy_segmenter

FILL = (128, 102, 76)


def constant(images: Tensor) -> Tensor:
    return torch.tensor([1.0, 3.0, 2.0])[None, :, None, None].expand(len(images), 3, *images.shape[2:])


def noisy(images: Tensor) -> Tensor:
    """Other logits in every window and every place."""
    return 4 * torch.randn(len(images), 3, *images.shape[2:], generator=generator(int(1e4 * images.sum()) % 1000))


@pytest.mark.parametrize(("length", "starts"), [(32, [0]), (33, [0, 1]), (53, [0, 21]), (54, [0, 21, 22])])
def test_windows_lie_two_thirds_apart_and_the_last_one_at_the_edge(length: int, starts: list[int]) -> None:
    assert window_starts(length, 32) == starts


@pytest.mark.parametrize("window", [1, 2, 32])
def test_windows_cover_everything(window: int) -> None:
    for length in range(window, 5 * window):
        starts = window_starts(length, window)
        assert {place for start in starts for place in range(start, start + window)} == set(range(length))
        assert all(later - sooner <= max(1, round(2 * window / 3)) for sooner, later in pairwise(starts))


@pytest.mark.parametrize(("width", "height"), [(32, 32), (47, 91), (300, 40), (9, 9)])
def test_a_constant_model_gives_a_constant(width: int, height: int) -> None:
    for scales, mirror in (((1.0,), False), (SCALES, True)):
        probabilities = Windows(constant, SIZE, FILL, scales=scales, mirror=mirror).probabilities(
            picture(width, height)
        )
        expected = torch.tensor([1.0, 3.0, 2.0]).softmax(0)[:, None, None].expand(probabilities.shape)
        assert torch.allclose(probabilities, expected, atol=1e-6)
    assert (Windows(constant, SIZE, FILL).labels(picture(width, height)) == 1).all()


@pytest.mark.parametrize("scales", [(1.0,), SCALES])
def test_probabilities_add_up_to_one_everywhere(scales: tuple[float, ...]) -> None:
    probabilities = Windows(noisy, SIZE, FILL, scales=scales, mirror=True).probabilities(picture(90, 50))
    assert probabilities.shape == (3, 32, 58)
    assert torch.allclose(probabilities.sum(0), torch.ones(32, 58), atol=1e-5)


def test_an_image_of_one_crop_is_asked_about_once_and_whole() -> None:
    segmenter = toy_segmenter()
    image = picture(32, 32)
    expected = segmenter(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255).softmax(1)[0]
    windows = Windows(segmenter, SIZE, segmenter.fill)
    assert torch.allclose(windows.probabilities(image), expected, atol=1e-6)
    assert torch.equal(windows.labels(image), expected.argmax(0).to(torch.uint8))


def test_overlaps_are_the_mean_of_their_windows() -> None:
    """The place in its window as an answer: every pixel knows which windows saw it."""

    def place(images: Tensor) -> Tensor:
        columns = torch.arange(32.0).expand(len(images), 1, 32, 32) / 8
        return torch.cat([columns, -columns], 1)

    probabilities = Windows(place, SIZE, FILL).probabilities(picture(53, 32))[0, 5]
    one = torch.stack([torch.arange(32.0), -torch.arange(32.0)]).div(8).softmax(0)[0]
    total, count = torch.zeros(53), torch.zeros(53)
    for start in (0, 21):
        total[start : start + 32] += one
        count[start : start + 32] += 1
    assert torch.allclose(probabilities, total / count, atol=1e-6)


def test_a_mirrored_question_is_mirrored_back() -> None:
    def left(images: Tensor) -> Tensor:
        bright = images.mean(1, keepdim=True) * 9
        return torch.cat([bright, -bright], 1)  # no sense of left and right: mirroring changes nothing

    image = picture(70, 40)
    plain = Windows(left, SIZE, FILL).probabilities(image)
    assert torch.allclose(plain, Windows(left, SIZE, FILL, mirror=True).probabilities(image), atol=1e-6)
    segmenter = toy_segmenter()
    once, both = (Windows(segmenter, SIZE, FILL, mirror=mirror).probabilities(image) for mirror in (False, True))
    assert not torch.allclose(once, both, atol=1e-4)


def test_small_images_are_filled_and_the_fill_is_cut_off() -> None:
    calls = []

    def recorded(images: Tensor) -> Tensor:
        calls.append(images)
        return constant(images)

    probabilities = Windows(recorded, SIZE, FILL, scales=(0.5,)).probabilities(Image.new("RGB", (64, 64), "white"))
    assert probabilities.shape == (3, 32, 32)
    assert torch.equal(calls[0][0, :, 16:, 16:], torch.tensor(FILL)[:, None, None].expand(3, 16, 16) / 255)
    assert (calls[0][0, :, :16, :16] == 1).all()


def test_never_more_than_a_batch_is_asked_at_once() -> None:
    sizes = []

    def recorded(images: Tensor) -> Tensor:
        sizes.append(len(images))
        return constant(images)

    Windows(recorded, SIZE, FILL, scales=(1.75,)).probabilities(picture(400, 100))
    assert max(sizes) == 8
    assert sum(sizes) > 16


@pytest.mark.parametrize("size", [(32, 58), (201, 333), (7, 9), (1, 1)])
def test_bands_are_the_whole(size: tuple[int, int]) -> None:
    probabilities = torch.rand(4, 32, 58, generator=generator())
    whole = F.interpolate(probabilities[None], size, mode="bilinear", align_corners=False)[0]
    first, second = whole.topk(2, dim=0).values
    clear = first - second > 1e-5
    assert torch.equal(label_map(probabilities, size)[clear], whole.argmax(0).to(torch.uint8)[clear])
    assert clear.float().mean() > 0.99
