"""Pictures that people have and pictures that are broken, made on the spot; and prompts to lay on them."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from pixprompt.canvas import Canvas, decode
from pixprompt.prompt import Prompt

ORIENTATIONS = range(1, 9)


def picture(width: int = 61, height: int = 43, seed: int = 0) -> Image.Image:
    """An RGB picture with large shapes and some noise, no two corners alike."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    red = 255 * columns // max(1, width - 1)
    green = 255 * rows // max(1, height - 1)
    blue = np.where((rows < height // 3) & (columns < width // 2), 255, 20)
    noise = rng.integers(-12, 13, (height, width, 3))
    return Image.fromarray((np.stack([red, green, blue], -1) + noise).clip(0, 255).astype(np.uint8))


def make_prompt(
    size: tuple[int, int] = (32, 32), blend: str = "over", padding: int = 6, seed: int = 0, **canvas: object
) -> Prompt:
    """A random padding prompt; the inside is free."""
    rgba = np.random.default_rng(seed).integers(0, 256, (*size, 4), dtype=np.uint8)
    rgba[padding:-padding, padding:-padding] = 0
    return Prompt(
        rgba=rgba,
        canvas=Canvas(size, **canvas),  # type: ignore[arg-type]
        blend=blend,
        delta_scale=1.0 if blend == "add" else None,
        template={"name": "padding", "params": {"size": padding}},
        model="mobilenet-v2",
        output={"kind": "first-k", "classes": ["zero", "eins", "zwölf"]},
        metrics={"prompt_png": {"test": 0.875, "ci95": [0.8, 0.925]}},
        version="0.1.0",
    )


def jpeg(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """One PNG chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A small PNG that declares a huge picture."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def turned(upright: Image.Image, orientation: int) -> Image.Image:
    """The picture as a camera stores it that writes this EXIF orientation."""
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    return upright.transpose(stored[orientation]) if orientation in stored else upright


def save_turned(upright: Image.Image, orientation: int, path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned(upright, orientation).save(path, exif=exif)


def write_readable(folder: Path) -> list[Path]:
    """One file of every odd kind that has a sensible reading."""
    folder.mkdir(parents=True, exist_ok=True)
    base = picture()
    alpha = Image.linear_gradient("L").resize(base.size)
    base.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(np.asarray(base.convert("L")).astype(np.uint16) * 257).save(folder / "grey16.png")
    base.convert("P").save(folder / "palette.png")
    base.convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(folder / "palette-clear.png", transparency=3)
    base.convert("L").save(folder / "grey.png")
    base.convert("1").save(folder / "bilevel.png")
    grey_alpha = base.convert("L").convert("LA")
    grey_alpha.putalpha(alpha)
    grey_alpha.save(folder / "grey-alpha.png")
    rgba = base.copy()
    rgba.putalpha(alpha)
    rgba.save(folder / "rgba.png")
    base.save(folder / "animated.gif", save_all=True, append_images=[picture(seed=1), picture(seed=2)])
    save_turned(base, 6, folder / "turned.jpg")
    picture(1, 1).save(folder / "one.png")
    picture(5000, 1).save(folder / "wide.png")
    picture(1, 5000).save(folder / "tall.png")
    base.save(folder / "plain.bmp")
    base.save(folder / "photo.webp")
    base.save(folder / "scan.tif", compression="tiff_lzw")
    return sorted(folder.iterdir())


def write_broken(folder: Path) -> list[Path]:
    """One file of every kind that cannot be read."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = jpeg(picture(300, 200))
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("this is no picture\n")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "bomb.png").write_bytes(bomb())
    return sorted(folder.iterdir())


def files(folder: Path) -> list[str]:
    """Every file below a folder, by its path inside it."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def read_rgb(path: Path) -> np.ndarray:
    """The pixels of a file that must be a plain RGB picture."""
    with Image.open(path) as image:
        if image.mode != "RGB":
            raise ValueError(f"{path} is {image.mode}, expected RGB")
        return np.array(image)


def expected(prompt: Prompt, source: Path) -> np.ndarray:
    """The prompted canvas of an image file."""
    return prompt.overlay(prompt.canvas.make(decode(source)))
