"""A small generated set in ADE20K's folder layout: textured shapes on textured grounds, one label per pixel.

python experiments/segmentation/shapes.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

CLASSES = ("sand", "grass", "disc", "box", "ring")
"""Two grounds, three things; a texture and a colour of its own for each, under noise and a tint per image."""
_PAINTS = ((205, 180, 120), (90, 150, 80), (200, 90, 70), (80, 100, 190), (170, 90, 180))

Pixels = npt.NDArray[np.uint8]


def draw(size: int, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Returns an image (size, size, 3) and its labels (size, size): 0 for none, then 1.. for CLASSES."""
    rows, columns = np.mgrid[:size, :size]
    split = size * rng.uniform(0.25, 0.75) + size / 8 * np.sin(columns / size * rng.uniform(2, 7))
    labels = np.where(rows < split, 1, 2).astype(np.uint8)
    for _ in range(rng.integers(2, 5)):
        radius = size * rng.uniform(0.1, 0.2)
        down, across = rng.uniform(radius, size - radius, 2)
        distance = np.hypot(rows - down, columns - across)
        kind = int(rng.integers(3, 6))
        reach = np.maximum(abs(rows - down), abs(columns - across)) if kind == 4 else distance
        shape = reach < radius
        labels[(reach < radius + size / 64) & ~shape] = 0  # an outline that belongs to none
        labels[shape if kind != 5 else shape & (distance > radius / 2)] = kind
    paints = np.array([(128, 128, 128), *_PAINTS])[labels]
    period = np.array([1, 3, 5, 4, 7, 2])[labels] * size / 48
    waves = 30 * np.sin(2 * np.pi * (rows + labels % 2 * columns) / period)
    noise = rng.normal(0, 14, (size, size, 3)) + rng.normal(0, 18, 3)
    return (paints + waves[..., None] + noise).clip(0, 255).astype(np.uint8), labels


def write(folder: Path, *, train: int, test: int, size: int = 256, seed: int = 0) -> None:
    """Writes `train` training and `test` validation images of `size` pixels each way, with labels and class names."""
    rng = np.random.default_rng(seed)
    for part, count in (("training", train), ("validation", test)):
        images, annotations = folder / "images" / part, folder / "annotations" / part
        images.mkdir(parents=True)
        annotations.mkdir(parents=True)
        for number in range(count):
            pixels, labels = draw(size, rng)
            Image.fromarray(pixels).save(images / f"{part}_{number:05}.jpg", quality=95)
            Image.fromarray(labels).save(annotations / f"{part}_{number:05}.png")
    lines = ["Idx\tRatio\tTrain\tVal\tStuff\tName"]
    lines += [f"{number}\t0\t0\t0\t0\t{name}" for number, name in enumerate(CLASSES, 1)]
    (folder / "objectInfo150.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]), train=200, test=50)
