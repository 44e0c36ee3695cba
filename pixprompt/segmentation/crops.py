"""Training crops: random scale, place and mirror image, all drawn from one generator."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch import Generator, Tensor

from ..canvas import Pixels
from .ade20k import IGNORED, Labels

__all__ = ["Crops", "base_size"]

Size = tuple[int, int]
_SCALES = (0.5, 2.0)
_LONGEST = 4
"""A panorama's longer side is at most this many crops, as its shorter side is one: memory stays bounded."""
_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = 0.125, 0.5, 0.5, 18 / 360


def base_size(image: Size, crop: Size) -> Size:
    """Returns the size (height, width) at which an image is cropped: its shorter side as long as the crop's."""
    scale = min(min(crop) / min(image), _LONGEST * min(crop) / max(image))
    return max(1, round(image[0] * scale)), max(1, round(image[1] * scale))


class Crops:
    """Makes crops of one size; what lies outside an image is filled and its labels are ignored.

    Args:
        size: (height, width) in pixels.
        fill: RGB, 0..255, of the places outside an image: the model's mean, so that they are zero to it.
        photometric: Varies brightness, contrast, saturation and hue, too.
    """

    def __init__(self, size: Size, fill: tuple[int, int, int], *, photometric: bool = False) -> None:
        self.size, self.fill, self.photometric = size, fill, photometric

    def draw(self, image: Image.Image, labels: Labels, *, generator: Generator) -> tuple[Pixels, Labels]:
        """Returns a random crop: scaled by 0.5..2 of `base_size`, at any place, mirrored half of the time.

        Args:
            image: RGB.
            labels: (H, W) of the image's size.

        Returns:
            Pixels (height, width, 3) and labels (height, width), both uint8.
        """
        share, down, across, mirror = torch.rand(4, generator=generator).tolist()
        base = base_size((image.height, image.width), self.size)
        scale = _SCALES[0] + (_SCALES[1] - _SCALES[0]) * share
        tall, wide = (max(1, round(side * scale)) for side in base)
        top, left = int(down * (max(0, tall - self.size[0]) + 1)), int(across * (max(0, wide - self.size[1]) + 1))
        pixels, cut = self.cut(image, labels, (tall, wide), (top, left))
        if self.photometric:
            pixels = _photometric(pixels, torch.rand(4, generator=generator))
        return (pixels[:, ::-1].copy(), cut[:, ::-1].copy()) if mirror < 0.5 else (pixels, cut)

    def cut(self, image: Image.Image, labels: Labels, scaled: Size, place: Size) -> tuple[Pixels, Labels]:
        """Returns the crop at `place` (top, left) of the image as it is at size `scaled`; only that part is scaled."""
        (tall, wide), (top, left) = scaled, place
        height, width = min(self.size[0], tall - top), min(self.size[1], wide - left)
        down, across = image.height / tall, image.width / wide
        box = (left * across, top * down, (left + width) * across, (top + height) * down)
        box = (*box[:2], min(box[2], image.width), min(box[3], image.height))
        pixels = np.full((*self.size, 3), self.fill, np.uint8)
        pixels[:height, :width] = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=box))
        cut = np.full(self.size, IGNORED, np.uint8)
        cut[:height, :width] = np.asarray(
            Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST, box=box)
        )
        return pixels, cut


def _photometric(pixels: Pixels, draws: Tensor) -> Pixels:
    brightness, contrast, saturation, hue = (2 * draws - 1).tolist()
    image = Image.fromarray(pixels)
    image = ImageEnhance.Brightness(image).enhance(1 + _BRIGHTNESS * brightness)
    image = ImageEnhance.Contrast(image).enhance(1 + _CONTRAST * contrast)
    image = ImageEnhance.Color(image).enhance(1 + _SATURATION * saturation)
    hsv = np.array(image.convert("HSV"))
    hsv[..., 0] = (hsv[..., 0].astype(np.int64) + round(256 * _HUE * hue)) % 256
    return np.array(Image.fromarray(hsv, "HSV").convert("RGB"))
