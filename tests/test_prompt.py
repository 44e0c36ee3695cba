"""The PNG artefact: exact arithmetic, a byte-stable file, and every damaged one refused with its reason."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

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
        made = Prompt(rgba, Canvas((256, 256)), "over", None, {}).overlay(canvas)
        composite = Image.alpha_composite(under.convert("RGBA"), Image.fromarray(rgba))
        pasted = under.copy()
        pasted.paste(above, (0, 0), Image.new("L", (256, 256), alpha))
        assert np.array_equal(made, np.asarray(composite)[..., :3])
        assert np.array_equal(made, np.asarray(pasted))
        exact = (color.astype(float) * alpha + canvas.astype(float) * (255 - alpha)) / 255
        assert np.array_equal(made, np.floor(exact + 0.5))
        worst_of_truncation = max(worst_of_truncation, int((made - np.floor(exact)).max()))
    assert worst_of_truncation == 1  # negative control: dropping the fraction would not have passed


@pytest.mark.parametrize("scale", [1.0, 0.5, 8 / 255, 1 / 255])
def test_add_equals_rounding_a_float_reference(scale: float) -> None:
    code, canvas = every_pair()
    rgba = np.dstack([code, np.full((256, 256), 255, np.uint8)])
    made = Prompt(rgba, Canvas((256, 256)), "add", scale, {}).overlay(canvas)
    delta = (code.astype(float) - 128) / 127 * scale * 255
    exact = np.clip(canvas + delta, 0, 255)
    assert np.abs(made - exact).max() <= 0.5 + 1e-9
    assert not np.array_equal(made, (canvas + code).astype(np.uint8))  # negative control: wrap-around of uint8


def test_add_changes_nothing_where_alpha_is_zero_and_everything_where_it_is_not() -> None:
    canvas = np.asarray(picture(32, 32))
    prompt = make_prompt(blend="add")
    rgba = prompt.rgba.copy()
    rgba[6:-6, 6:-6, :3] = 255  # colour without alpha must not count
    rgba[:6, :, 3] = 1
    made = replace(prompt, rgba=rgba).overlay(canvas)
    assert np.array_equal(made[6:-6, 6:-6], canvas[6:-6, 6:-6])
    assert not np.array_equal(made[:6], canvas[:6])


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
    made = prompt.apply(image)
    assert made.mode == "RGB"
    assert np.array_equal(np.asarray(made), expected)
    assert np.array_equal(prompt.apply(np.asarray(image)), expected)


def test_apply_reads_an_opened_image_as_decode_reads_its_file(tmp_path: Path) -> None:
    prompt = make_prompt()
    paths = write_readable(tmp_path)
    save_turned(picture(), 5, tmp_path / "on-its-side.png")
    for path in [*paths, tmp_path / "on-its-side.png"]:
        expected = prompt.overlay(prompt.canvas.make(decode(path)))
        with Image.open(path) as opened:
            assert np.array_equal(np.asarray(prompt.apply(opened)), expected), path.name


def test_over_equals_imagemagick(tmp_path: Path) -> None:
    composite = shutil.which("composite")
    if composite is None:
        pytest.skip("ImageMagick's composite is not installed")
    prompt, canvas = make_prompt(size=(64, 64)), picture(64, 64)
    prompt.save(tmp_path / "prompt.png")
    canvas.save(tmp_path / "canvas.png")
    names = [str(tmp_path / name) for name in ("prompt.png", "canvas.png", "out.png")]
    subprocess.run([composite, "-depth", "8", *names], check=True)
    with Image.open(tmp_path / "out.png") as out:
        assert np.array_equal(np.asarray(out.convert("RGB")), prompt.overlay(np.asarray(canvas)))


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


# The file ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blend", BLENDS)
def test_save_load_save_gives_the_same_bytes_and_the_same_prompt(tmp_path: Path, blend: str) -> None:
    canvas = {"fit": "shrink", "frame": 6, "crop_pct": 0.875, "fill": (1, 2, 3), "resample": "lanczos"}
    prompt = make_prompt((40, 32), blend, **canvas)
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    prompt.save(first)
    again = load(first)
    again.save(second)
    assert first.read_bytes() == second.read_bytes()
    assert np.array_equal(again.rgba, prompt.rgba)
    assert again.metadata() == prompt.metadata()
    assert again.canvas == prompt.canvas
    assert again.output["classes"][2] == "zwölf"


def test_the_file_is_a_plain_rgba_png_with_the_chunk_of_the_interface(tmp_path: Path) -> None:
    prompt = make_prompt()
    prompt.save(tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGBA", (32, 32))
        assert np.array_equal(np.asarray(image), prompt.rgba)
        values = json.loads(image.text["pixprompt"])  # type: ignore[attr-defined]
    assert values["schema"] == 1
    assert values["pixels_sha256"] == hashlib.sha256(prompt.rgba.tobytes()).hexdigest()
    expected = {"schema", "version", "template", "blend", "delta_scale", "canvas", "model", "output", "seed", "metrics"}
    assert expected < set(values)
    assert set(values["canvas"]) >= {"size", "fit", "filter", "orientation"}


def read_chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    chunks, position = [], 8
    while position < len(content):
        (length,) = struct.unpack(">I", content[position : position + 4])
        chunks.append((content[position + 4 : position + 8], content[position + 8 : position + 8 + length]))
        position += 12 + length
    return chunks


def write_chunks(chunks: list[tuple[bytes, bytes]]) -> bytes:
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def rewritten(prompt: Prompt, path: Path, edit: Callable[[dict[str, Any]], object], *, sign: bool) -> Path:
    """Saves a prompt with edited metadata; with `sign`, as somebody would who also renews the digest."""
    values = prompt.metadata()
    edit(values)
    if sign:
        plain = {key: value for key, value in values.items() if key != "metadata_sha256"}
        text = json.dumps(plain, sort_keys=True)
        values["metadata_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    info = PngInfo()
    info.add_itxt("pixprompt", json.dumps(values))
    Image.fromarray(prompt.rgba).save(path, pnginfo=info)
    return path


def test_rewriting_without_an_edit_is_accepted(tmp_path: Path) -> None:
    """The control of the tests below: what they refuse is the edit, not the way it was made."""
    for sign in (False, True):
        assert load(rewritten(make_prompt(), tmp_path / "p.png", lambda values: None, sign=sign)).seed == 0


@pytest.mark.parametrize(
    "edit",
    [
        lambda values: values.update(model="another"),
        lambda values: values["metrics"].update(accuracy=1.0),
        lambda values: values["output"]["classes"].reverse(),
        lambda values: values["canvas"].update(filter="nearest"),
        lambda values: values.update(extra=1),
        lambda values: values.pop("metadata_sha256"),
        lambda values: values.pop("seed"),
    ],
)
def test_changed_metadata_is_refused(tmp_path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = rewritten(make_prompt(), tmp_path / "p.png", edit, sign=False)
    with pytest.raises(PromptError, match=r"p\.png: the metadata does not match its digest"):
        load(path)


def test_one_changed_pixel_is_refused(tmp_path: Path) -> None:
    prompt = make_prompt()
    prompt.save(tmp_path / "p.png")
    rgba = prompt.rgba.copy()
    rgba[0, 0, 0] ^= 1
    chunks = read_chunks((tmp_path / "p.png").read_bytes())
    raw = b"".join(b"\0" + row.tobytes() for row in rgba)
    other = [(kind, data) for kind, data in chunks if kind not in (b"IDAT", b"IEND")]
    (tmp_path / "p.png").write_bytes(write_chunks([*other, (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]))
    with pytest.raises(PromptError, match=r"p\.png: the pixels do not match their digest"):
        load(tmp_path / "p.png")


def test_metadata_of_another_prompt_is_refused(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_itxt("pixprompt", json.dumps(make_prompt(seed=1).metadata()))
    Image.fromarray(make_prompt(seed=2).rgba).save(tmp_path / "p.png", pnginfo=info)
    with pytest.raises(PromptError, match="pixels do not match"):
        load(tmp_path / "p.png")


def test_a_png_without_the_chunk_is_refused(tmp_path: Path) -> None:
    Image.fromarray(make_prompt().rgba).save(tmp_path / "p.png")
    with pytest.raises(PromptError, match=r"p\.png: no 'pixprompt' metadata.*image tool dropped it"):
        load(tmp_path / "p.png")


@pytest.mark.parametrize("schema", [0, 2, "1", None, [1]])
def test_another_schema_is_refused(tmp_path: Path, schema: object) -> None:
    path = rewritten(make_prompt(), tmp_path / "p.png", lambda values: values.update(schema=schema), sign=True)
    with pytest.raises(PromptError, match="this version reads schema 1"):
        load(path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda values: values.pop("seed"),
        lambda values: values.pop("canvas"),
        lambda values: values["canvas"].pop("filter"),
        lambda values: values["canvas"].update(size=[64, 64]),
        lambda values: values.update(canvas=[1, 2]),
        lambda values: values.update(canvas=["abc"]),
        lambda values: values.update(blend="add"),
        lambda values: values.update(blend="add", delta_scale="wide"),
        lambda values: values.update(template="padding"),
        lambda values: values.update(output=["first-k"]),
        lambda values: values.update(metrics=3),
        lambda values: values.update(model=None),
        lambda values: values.update(seed="0"),
    ],
)
def test_signed_nonsense_is_refused_too(tmp_path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = rewritten(make_prompt(), tmp_path / "p.png", edit, sign=True)
    with pytest.raises(PromptError):
        load(path)


@pytest.mark.parametrize("text", ["no json", "[]", "3", '"text"', "{}", "[" * 100_000])
def test_a_chunk_that_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    info = PngInfo()
    info.add_itxt("pixprompt", text)
    Image.fromarray(make_prompt().rgba).save(tmp_path / "p.png", pnginfo=info)
    with pytest.raises(PromptError, match=r"p\.png: the 'pixprompt' metadata is not readable JSON"):
        load(tmp_path / "p.png")


def test_pixels_that_are_not_rgba_are_refused(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_itxt("pixprompt", json.dumps(make_prompt().metadata()))
    image = Image.fromarray(make_prompt().rgba)
    image.convert("RGB").save(tmp_path / "rgb.png", pnginfo=info)
    image.save(tmp_path / "p.webp", lossless=True)
    with pytest.raises(PromptError, match=r"rgb\.png: a prompt is an RGBA PNG, got PNG RGB"):
        load(tmp_path / "rgb.png")
    with pytest.raises(PromptError, match="got WEBP RGBA"):
        load(tmp_path / "p.webp")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.95])
def test_a_truncated_prompt_is_refused_by_name(tmp_path: Path, share: float) -> None:
    make_prompt().save(tmp_path / "p.png")
    whole = (tmp_path / "p.png").read_bytes()
    (tmp_path / "p.png").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(PromptError, match=r"p\.png: "):
        load(tmp_path / "p.png")


def test_a_missing_file_a_folder_and_text_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("hello")
    for name, words in (("none.png", "No such file"), (".", "directory"), ("text.png", "not a readable image")):
        with pytest.raises(PromptError, match=words) as caught:
            load(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


def test_numbers_that_json_does_not_know_are_refused_while_saving(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="plain JSON"):
        make_prompt_with(metrics={"test": float("nan")}).save(tmp_path / "p.png")
    assert not (tmp_path / "p.png").exists()


@pytest.mark.parametrize("classes", [["\udcff"], ["nul\0"]])
def test_class_names_from_odd_file_names_survive_the_file(tmp_path: Path, classes: list[str]) -> None:
    make_prompt_with(output={"kind": "given", "classes": classes}).save(tmp_path / "p.png")
    assert load(tmp_path / "p.png").output["classes"] == classes


def test_whole_number_keys_survive_the_file(tmp_path: Path) -> None:
    make_prompt_with(metrics={10: 0.5, 9: 0.25}).save(tmp_path / "p.png")
    assert load(tmp_path / "p.png").metrics == {"10": 0.5, "9": 0.25}


def make_prompt_with(**change: Any) -> Prompt:
    return replace(make_prompt(), **change)


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
    done = subprocess.run([sys.executable, "-c", _NO_TORCH, str(tmp_path / "p.png")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_package_offers_load() -> None:
    assert pixprompt.load is load
    assert pixprompt.Prompt is Prompt
