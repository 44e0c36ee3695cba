"""The model that every peer serves: eight scores, linear in the mean colours of 4 x 4 cells in the middle of an image.

It sees well only what has a bright left edge, so that there is something for a prompt to learn. Plain numpy in float64,
image by image and rounded, so that it answers the same in every environment and in every batch.
"""

from __future__ import annotations

import io

import numpy as np

__all__ = ["LABELS", "SIDE", "decode", "score", "shares"]

SIDE = 32
LABELS = ("amber", "beige", "coral", "denim", "ebony", "fawn", "grape", "hazel")
_EDGE = 8
_CELLS = 4
_PIXELS = (SIDE - 2 * _EDGE) // _CELLS
_WEIGHTS = 3 * np.sin(0.7 * np.arange(3 * _CELLS**2 * len(LABELS))).reshape(-1, len(LABELS))


def score(images):
    """Answers images (N, 3, 32, 32) in [0, 1] with scores (N, 8), float32.

    Raises:
        ValueError: They are of another shape.
    """
    images = np.asarray(images, np.float64)
    if images.ndim != 4 or images.shape[1:] != (3, SIDE, SIDE):
        raise ValueError(f"expected images (N, 3, {SIDE}, {SIDE}), got {images.shape}")
    middle = images[:, :, _EDGE:-_EDGE, _EDGE:-_EDGE]
    cells = middle.reshape(-1, 3, _CELLS, _PIXELS, _CELLS, _PIXELS).mean(axis=(3, 5)).reshape(len(images), -1)
    sight = np.clip((images[:, :, :, :4].mean(axis=(1, 2, 3)) - 0.4) / 0.4, 0, 1)
    scores = [clear * ((row[:, None] - 0.5) * _WEIGHTS).sum(axis=0) for row, clear in zip(cells, sight, strict=True)]
    return np.round(np.array(scores), 3).astype(np.float32)


def shares(scores):
    """Turns scores (N, 8) into probabilities, float32."""
    powers = np.exp(np.asarray(scores, np.float64))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def decode(content):
    """Reads an image file as (3, 32, 32) in [0, 1]."""
    from PIL import Image

    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.float64)
    return pixels.transpose(2, 0, 1) / 255
