"""Small image folders, each image a colour of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixprompt.data.image_set import ImageSet, from_arrays

MakeFolder = Callable[[dict[str, int]], Path]


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """{"train/cat": 3, ...} -> a folder with that many PNG images in each subfolder."""

    def make(counts: dict[str, int]) -> Path:
        root = tmp_path / "images"
        number = 0
        for name, count in counts.items():
            folder = root / name
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                number += 1
                color = (number % 256, number // 256, 7)
                Image.new("RGB", (6, 4), color).save(folder / f"{index:03d}.png")
        return root

    return make


@pytest.fixture
def counted() -> tuple[ImageSet, list[int]]:
    """Twelve 5x7 images in memory and the list of indices that were opened."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 5, 7, 3), dtype=np.uint8)
    images = from_arrays(pixels, [0, 1, 2] * 4, prefix="noise")
    opened: list[int] = []

    def open_image(index: int) -> Image.Image:
        opened.append(index)
        return images.open(index)

    return ImageSet(images.names, images.labels, images.keys, open_image), opened
