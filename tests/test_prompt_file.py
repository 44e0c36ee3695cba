"""The PNG artefact as a file: byte-stable, complete, and every damaged or changed one refused with its reason."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pixprompt.core import PromptError
from pixprompt.prompt import BLENDS, Prompt, load, load_committee

from .images import make_prompt


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
    assert load_committee(first.read_bytes()).metadata() == prompt.metadata()


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


@pytest.mark.parametrize("schema", [0, 3, "1", None, [1]])
def test_another_schema_is_refused(tmp_path: Path, schema: object) -> None:
    path = rewritten(make_prompt(), tmp_path / "p.png", lambda values: values.update(schema=schema), sign=True)
    with pytest.raises(PromptError, match="this version reads schemas 1 to 2"):
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
        lambda values: values["template"].update(num_params="many"),
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
    with pytest.raises(PromptError, match=r"p\.webp: .* A prompt is an RGBA PNG"):
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
    for name, words in (
        ("none.png", "No such file"),
        (".", "directory"),
        ("text.png", "of no known format.* A prompt is an RGBA PNG"),
    ):
        with pytest.raises(PromptError, match=words) as error:
            load(tmp_path / name)
        assert str(tmp_path / name) in str(error.value)


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
