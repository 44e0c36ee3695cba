"""The format page, pixprompt/prompt/FORMAT.md, once more: plain arithmetic without the package or Pillow's filters.

Pillow decodes the PNGs, nothing else. What it does not share with the package it can find wrong there, or on the page.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
SUPPORT = {"box": 0.5, "bilinear": 1.0, "hamming": 1.0, "bicubic": 2.0, "lanczos": 3.0}


def read(path: Path) -> tuple[Pixels, dict[str, Any]]:
    """Pixels and metadata of a prompt file, its digests checked."""
    with Image.open(path) as image:
        pixels, text = np.asarray(image), image.text["pixprompt"]  # type: ignore[attr-defined]
    values = json.loads(text)
    plain = {key: value for key, value in values.items() if key != "metadata_sha256"}
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
    if digest != values["metadata_sha256"] or hashlib.sha256(pixels.tobytes()).hexdigest() != values["pixels_sha256"]:
        raise ValueError("digest")
    return pixels, values


def apply(path: Path, image: Pixels) -> list[Pixels]:
    """The prompted canvases of an upright RGB image, one for each page."""
    pixels, values = read(path)
    pages = values.get("pages", [values])
    return [
        blend(page, rows.astype(int), canvas(page["canvas"], image).astype(int))
        for page, rows in zip(pages, np.split(pixels, len(pages)), strict=True)
    ]


def blend(page: dict[str, Any], rgba: npt.NDArray[np.int64], under: npt.NDArray[np.int64]) -> Pixels:
    color, alpha = rgba[..., :3], rgba[..., 3:]
    if page["blend"] == "over":
        return ((2 * (color * alpha + under * (255 - alpha)) + 255) // 510).astype(np.uint8)
    steps = np.rint((color - 128) * (page["delta_scale"] * 255.0) / 127.0).astype(int)
    return (under + np.where(alpha > 0, steps, 0)).clip(0, 255).astype(np.uint8)


def canvas(values: dict[str, Any], image: Pixels) -> Pixels:
    (tall, wide), frame = values["size"], values["frame"]
    box = values.get("box") or [frame, frame, tall - 2 * frame, wide - 2 * frame]
    top, left, height, width = box
    rotation = values.get("rotation", 0.0)
    quarters = round(rotation / 90)
    if values.get("flip"):
        image = image[:, ::-1]
    image = fitted(np.rot90(image, quarters), values, height, width)
    if rotation != 90 * quarters:
        image = rotated(image, rotation - 90 * quarters, values["filter"], values["fill"])
    whole = np.empty((tall, wide, 3), np.uint8)
    whole[:] = values["fill"]
    y0, x0, y1, x1 = max(0, top), max(0, left), min(tall, top + height), min(wide, left + width)
    whole[y0:y1, x0:x1] = image[y0 - top : y1 - top, x0 - left : x1 - left]
    return whole


def fitted(image: Pixels, values: dict[str, Any], height: int, width: int) -> Pixels:
    rows, columns = image.shape[:2]
    tall, wide = int(height / values["crop_pct"]), int(width / values["crop_pct"])
    if values["aspect"] == "letterbox":
        scale = min(height / rows, width / columns)
        size = max(1, round(rows * scale)), max(1, round(columns * scale))
        boxed = np.empty((height, width, 3), np.uint8)
        boxed[:] = values["fill"]
        top, left = (height - size[0]) // 2, (width - size[1]) // 2
        boxed[top : top + size[0], left : left + size[1]] = toned(resized(image, *size, values["filter"]), values)
        return boxed
    if values["aspect"] == "crop":
        most = round(columns * (height / width) * 16), round(rows / (height / width) * 16)
        image = centre(image, min(rows, max(1, most[0])), min(columns, max(1, most[1])))
        rows, columns = image.shape[:2]
        if columns * tall <= rows * wide:
            tall = int(wide * rows / columns)
        else:
            wide = int(tall * columns / rows)
    return toned(centre(resized(image, tall, wide, values["filter"]), height, width), values)


def centre(image: Pixels, height: int, width: int) -> Pixels:
    top, left = round((image.shape[0] - height) / 2), round((image.shape[1] - width) / 2)
    return image[top : top + height, left : left + width]


def toned(image: Pixels, values: dict[str, Any]) -> Pixels:
    tone = values.get("tone", {})
    curve = tone.get("contrast", 1.0) * ((np.arange(256) / 255.0) ** tone.get("gamma", 1.0) - 0.5) + 0.5
    table = np.floor(np.round(curve.clip(0, 1) * 255, 6) + 0.5).astype(np.uint8)
    return (255 - table if tone.get("invert") else table)[image]


def weight(name: str, x: float) -> float:
    x = abs(x) if name != "box" else x
    if name == "box":
        return float(-0.5 < x <= 0.5)
    if name == "bilinear":
        return max(0.0, 1 - x)
    if name == "hamming":
        angle = x * math.pi
        numbers = float(np.float32(0.54)), float(np.float32(0.46))
        return (
            1.0 if x == 0 else 0.0 if x >= 1 else math.sin(angle) / angle * (numbers[0] + numbers[1] * math.cos(angle))
        )
    if name == "bicubic":
        near = ((-0.5 + 2) * x - (-0.5 + 3)) * x * x + 1
        return near if x < 1 else (((x - 5) * x + 8) * x - 4) * -0.5 if x < 2 else 0.0
    return sinc(x) * sinc(x / 3) if x < 3 else 0.0


def sinc(x: float) -> float:
    return 1.0 if x == 0 else math.sin(x * math.pi) / (x * math.pi)


def one_axis(image: Pixels, size: int, name: str) -> Pixels:
    """Resizes along axis 0."""
    length = len(image)
    if size == length:
        return image
    scale = length / size
    if name == "nearest":
        return image[[min(length - 1, int((i + 0.5) * scale)) for i in range(size)]]
    stretch = max(scale, 1.0)
    reach, pixels = SUPPORT[name] * stretch, np.empty((size, *image.shape[1:]), np.uint8)
    for i in range(size):
        middle = (i + 0.5) * scale
        first, last = max(0, int(middle - reach + 0.5)), min(length, int(middle + reach + 0.5))
        weights = [weight(name, (j - middle + 0.5) * (1 / stretch)) for j in range(first, last)]
        total = 0.0
        for each in weights:
            total += each
        whole = [int(each / total * 2**22 + math.copysign(0.5, each)) for each in weights]
        sums = sum(each * image[j].astype(np.int64) for each, j in zip(whole, range(first, last), strict=True))
        pixels[i] = ((sums + 2**21) >> 22).clip(0, 255)
    return pixels


def resized(image: Pixels, height: int, width: int, name: str) -> Pixels:
    def columns(pixels: Pixels) -> Pixels:
        return one_axis(pixels.swapaxes(0, 1), width, name).swapaxes(0, 1)

    if image.shape[0] - height > max(0, 2 * (image.shape[1] - width)):
        return columns(one_axis(image, height, name))
    return one_axis(columns(image), height, name)


def rotated(image: Pixels, degrees: float, name: str, fill: list[int]) -> Pixels:
    height, width = image.shape[:2]
    angle = -math.radians(degrees % 360.0)
    cos, sin = round(math.cos(angle), 15), round(math.sin(angle), 15)
    across = cos * (-width / 2) + sin * (-height / 2) + width / 2
    down = round(-math.sin(angle), 15) * (-width / 2) + cos * (-height / 2) + height / 2
    pixels = np.empty_like(image)
    pixels[:] = fill
    kind = "nearest" if name == "nearest" else "bicubic" if name in ("bicubic", "lanczos") else "bilinear"
    for v in range(height):
        for u in range(width):
            x = cos * (u + 0.5) + sin * (v + 0.5) + across
            y = -sin * (u + 0.5) + cos * (v + 0.5) + down
            if kind == "nearest":
                steps = [math.floor(each * 65536 + 0.5) for each in (cos, sin, -sin, cos)]
                starts = across + cos * 0.5 + sin * 0.5, down - sin * 0.5 + cos * 0.5
                x = (math.floor(starts[0] * 65536 + 0.5) + u * steps[0] + v * steps[1]) >> 16
                y = (math.floor(starts[1] * 65536 + 0.5) + u * steps[2] + v * steps[3]) >> 16
                if 0 <= x < width and 0 <= y < height:
                    pixels[v, u] = image[y, x]
            elif 0 <= x < width and 0 <= y < height:
                pixels[v, u] = sampled(image, x - 0.5, y - 0.5, kind)
    return pixels


def sampled(image: Pixels, x: float, y: float, kind: str) -> npt.NDArray[np.int64]:
    height, width = image.shape[:2]
    column, row = math.floor(x), math.floor(y)
    offsets = range(2) if kind == "bilinear" else range(-1, 3)
    lines = []
    for j in offsets:
        line = image[min(max(row + j, 0), height - 1)].astype(float)
        lines.append(mixed([line[min(max(column + i, 0), width - 1)] for i in offsets], x - column, kind))
    return np.floor(np.clip(mixed(lines, y - row, kind), 0, 255)).astype(np.int64)


def mixed(values: list[Any], d: float, kind: str) -> Any:
    if kind == "bilinear":
        return values[0] + (values[1] - values[0]) * d
    a, b, c, e = values
    return b + d * ((-a + c) + d * ((2 * (a - b) + c - e) + d * (-a + b - c + e)))
