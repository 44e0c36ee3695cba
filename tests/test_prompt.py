"""The prompt as a value: exact arithmetic, checked against Pillow and ImageMagick, and light to load."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pixprompt
from pixprompt.canvas import Canvas, decode
from pixprompt.core import PromptError, RangeError, ShapeError
from pixprompt.prompt import BLENDS, Prompt, load, pixel_delta

from .images import make_prompt, picture, save_turned, write_readable

# Arithmetic ----------------------------------------------------------------------------------------------------------


def every_pair() -> tuple[np.ndarray, np.ndarray]:
    """All 256 x 256 pairs of colour and canvas value, as two RGB pictures of that size."""
    color, canvas = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8), indexing="ij")
    return np.repeat(color[..., None], 3, -1), np.repeat(canvas[..., None], 3, -1)


def test_over_equals_pillow_for_every_alpha_colour_and_canvas_value() -> None:
    color, canvas = every_pair()
    under, above = Image.fromarray(canvas), Image.fromarray(color)
    worst_of_truncation = 0
    for alpha in range(256):
        rgba = np.dstack([color, np.full((256, 256), alpha, np.uint8)])
        pixels = Prompt(rgba, Canvas((256, 256)), "over", None, {}).overlay(canvas)
        composite = Image.alpha_composite(under.convert("RGBA"), Image.fromarray(rgba))
        pasted = under.copy()
        pasted.paste(above, (0, 0), Image.new("L", (256, 256), alpha))
        assert np.array_equal(pixels, np.asarray(composite)[..., :3])
        assert np.array_equal(pixels, np.asarray(pasted))
        exact = (color.astype(float) * alpha + canvas.astype(float) * (255 - alpha)) / 255
        assert np.array_equal(pixels, np.floor(exact + 0.5))
        worst_of_truncation = max(worst_of_truncation, int((pixels - np.floor(exact)).max()))
    assert worst_of_truncation == 1  # negative control: dropping the fraction would not have passed


@pytest.mark.parametrize("scale", [1.0, 0.5, 8 / 255, 1 / 255])
def test_add_equals_rounding_a_float_reference(scale: float) -> None:
    code, canvas = every_pair()
    rgba = np.dstack([code, np.full((256, 256), 255, np.uint8)])
    pixels = Prompt(rgba, Canvas((256, 256)), "add", scale, {}).overlay(canvas)
    delta = (code.astype(float) - 128) / 127 * scale * 255
    exact = np.clip(canvas + delta, 0, 255)
    assert np.abs(pixels - exact).max() <= 0.5 + 1e-9
    assert not np.array_equal(pixels, (canvas + code).astype(np.uint8))  # negative control: wrap-around of uint8


def test_add_changes_nothing_where_alpha_is_zero_and_everything_where_it_is_not() -> None:
    canvas = np.asarray(picture(32, 32))
    prompt = make_prompt(blend="add")
    rgba = prompt.rgba.copy()
    rgba[6:-6, 6:-6, :3] = 255  # colour without alpha must not count
    rgba[:6, :, 3] = 1
    pixels = replace(prompt, rgba=rgba).overlay(canvas)
    assert np.array_equal(pixels[6:-6, 6:-6], canvas[6:-6, 6:-6])
    assert not np.array_equal(pixels[:6], canvas[:6])


def test_pixel_delta_is_odd_and_reaches_the_scale() -> None:
    codes = np.arange(-127, 128)
    delta = pixel_delta(codes, 1.0)
    assert (delta.min(), delta.max()) == (-255, 255)
    assert np.array_equal(delta, -delta[::-1])
    assert pixel_delta(codes, 8 / 255).max() == 8


@pytest.mark.parametrize("blend", BLENDS)
def test_overlay_takes_batches_and_does_not_write_to_them(blend: str) -> None:
    prompt = make_prompt(blend=blend)
    canvases = np.random.default_rng(1).integers(0, 256, (2, 3, 32, 32, 3), dtype=np.uint8)
    canvases.setflags(write=False)
    together = prompt.overlay(canvases)
    assert together.dtype == np.uint8
    for index in np.ndindex(2, 3):
        assert np.array_equal(together[index], prompt.overlay(canvases[index]))


def test_overlay_refuses_a_canvas_of_another_size_and_names_both() -> None:
    with pytest.raises(ShapeError, match=r"32, 32, 3\), got \(48, 40, 3\)"):
        make_prompt().overlay(np.zeros((48, 40, 3), np.uint8))
    with pytest.raises(RangeError, match="float64"):
        make_prompt().overlay(np.zeros((32, 32, 3)))


@pytest.mark.parametrize("blend", BLENDS)
def test_apply_is_canvas_and_overlay_for_images_and_arrays(blend: str) -> None:
    prompt, image = make_prompt(blend=blend), picture(50, 70)
    expected = prompt.overlay(prompt.canvas.make(image))
    pixels = prompt.apply(image)
    assert pixels.mode == "RGB"
    assert np.array_equal(np.asarray(pixels), expected)
    assert np.array_equal(prompt.apply(np.asarray(image)), expected)


def test_apply_reads_an_opened_image_as_decode_reads_its_file(tmp_path: Path) -> None:
    prompt = make_prompt()
    paths = write_readable(tmp_path)
    save_turned(picture(), 5, tmp_path / "on-its-side.png")
    for path in [*paths, tmp_path / "on-its-side.png"]:
        expected = prompt.overlay(prompt.canvas.make(decode(path)))
        with Image.open(path) as opened:
            assert np.array_equal(np.asarray(prompt.apply(opened)), expected), path.name


@pytest.mark.parametrize(("opaque", "out"), [(True, "out.png"), (False, "out.bmp")])
def test_over_equals_imagemagick(opaque: bool, out: str, tmp_path: Path) -> None:
    """Its operator works with 16 bits; for a partial alpha its PNG writer cuts them off, its BMP writer rounds."""
    composite = shutil.which("composite")
    if composite is None:
        pytest.skip("ImageMagick's composite is not installed")
    prompt, canvas = make_prompt(size=(64, 64)), picture(64, 64)
    if opaque:
        rgba = prompt.rgba.copy()
        rgba[..., 3] = np.where(rgba[..., 3] > 127, 255, 0)
        prompt = replace(prompt, rgba=rgba)
    prompt.save(tmp_path / "prompt.png")
    canvas.save(tmp_path / "canvas.png")
    names = [str(tmp_path / name) for name in ("prompt.png", "canvas.png", out)]
    subprocess.run([composite, "-depth", "8", *names], check=True)
    with Image.open(tmp_path / out) as opened:
        assert np.array_equal(np.asarray(opened.convert("RGB")), prompt.overlay(np.asarray(canvas)))


# The value -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"rgba": np.zeros((32, 32, 3), np.uint8)},
        {"rgba": np.zeros((32, 31, 4), np.uint8)},
        {"rgba": np.zeros((32, 32, 4))},
        {"blend": "multiply"},
        {"delta_scale": 0.5},
        {"blend": "add", "delta_scale": None},
        {"blend": "add", "delta_scale": 0.0},
        {"blend": "add", "delta_scale": 1.5},
    ],
)
def test_a_prompt_that_contradicts_itself_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(PromptError):
        replace(make_prompt(), **change)


_NO_TORCH = """
import sys
import numpy, PIL.Image
before = set(sys.modules)
import pixprompt
made = pixprompt.load(sys.argv[1]).apply(PIL.Image.new("RGB", (50, 40)))
assert made.size == (32, 32)
heavy = {"torch", "torchvision", "timm", "open_clip", "matplotlib", "click", "requests", "sklearn", "scipy"}
found = heavy & set(sys.modules)
assert not found, found
"""


def test_loading_and_applying_need_numpy_and_pillow_only(tmp_path: Path) -> None:
    make_prompt().save(tmp_path / "p.png")
    process = subprocess.run([sys.executable, "-c", _NO_TORCH, str(tmp_path / "p.png")], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr


def test_the_package_offers_load() -> None:
    assert pixprompt.load is load
    assert pixprompt.Prompt is Prompt
