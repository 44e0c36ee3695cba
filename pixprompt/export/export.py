"""Writing a prompt in a form that other programs read."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..canvas import MOST_ASPECT, Canvas, Pixels
from ..files import make_folder, write_bytes
from ..prompt import Committee, Prompt
from ..prompt.prompt_file import take
from .onnx_graphs import output_model, prompt_model
from .output_table import OutputTable
from .pictures import overlay, pair

__all__ = ["FORMS", "export_prompt"]


def _png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=9)
    return buffer.getvalue()


def _npz(page: Prompt) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **_arrays(page))
    return buffer.getvalue()


def _pair(page: Prompt) -> dict[str, bytes]:
    added, subtracted = pair(page)
    return {"add.png": _png(added), "subtract.png": _png(subtracted)}


_WRITERS: Mapping[str, tuple[Callable[[Prompt], dict[str, bytes]], str]] = {
    "overlay": (lambda page: {"overlay.png": _png(overlay(page))}, "a PNG to composite over the canvas, where exact"),
    "pair": (_pair, "two PNGs: add the first, subtract the second, both saturating"),
    "arrays": (lambda page: {"arrays.npz": _npz(page)}, "pixels, mask and parameters as NumPy arrays"),
    "onnx": (lambda page: {"prompt.onnx": prompt_model(page)}, "networks for canvases and for answers"),
}
FORMS: Mapping[str, str] = {name: line for name, (_, line) in _WRITERS.items()}
"""Name of a form -> what it is."""


def export_prompt(prompt: Committee, folder: Path, form: str) -> list[Path]:
    """Writes a prompt with its canvas steps and its output transform, each page of a committee in a folder of its own.

    Args:
        prompt: From `load_committee`.
        folder: Made where it is missing; files of the same names are replaced.
        form: A name of FORMS.

    Returns:
        The files: `canvas.json` and those of the form for each page, and `output.json` (with "onnx", `output.onnx`
        too) where the prompt says how answers become labels; of a cascade also the same called `cascade`.

    Raises:
        PromptError: The form cannot hold the prompt exactly, or the output transform is damaged.
    """
    files: dict[str, bytes] = {}
    for number, page in enumerate(prompt.pages, 1):
        place = f"view-{number}/" if len(prompt.pages) > 1 else ""
        files[f"{place}canvas.json"] = _json({"size": page.canvas.size, "steps": _canvas_steps(page.canvas)})
        files |= {f"{place}{name}": content for name, content in _WRITERS[form][0](page).items()}
    threshold = take("the cascade", prompt.cascade, {"threshold": (float, int)}) if prompt.cascade else {}
    for name, values, rest in (("output", prompt.output, {}), ("cascade", prompt.cascade.get("output"), threshold)):
        if values:
            table = OutputTable.of(values)
            files[f"{name}.json"] = _json({**rest, **table.to_json()})
            if form == "onnx":
                files[f"{name}.onnx"] = output_model(table)
    for name, content in files.items():  # only now: what cannot be written whole is not begun
        make_folder((folder / name).parent)
        write_bytes(folder / name, content)
    return [folder / name for name in files]


def _json(values: object) -> bytes:
    return (json.dumps(values, ensure_ascii=False) + "\n").encode()


def _arrays(page: Prompt) -> dict[str, npt.NDArray[Any]]:
    """Returns a page's arrays by name.

    - `rgba` (H, W, 4) uint8: the pixels of the file.
    - `mask` (H, W) bool: where they change the canvas.
    - `theta` float32: of blend "add" the change of R, G and B, (H, W, 3) in [-1, 1]; of "over" colours and opacity,
      (H, W, 4) in [0, 1].
    - `delta` (H, W, 3) int16: of blend "add" the whole steps -255..255 that are added to 8-bit pixels.
    """
    rgba, mask = page.rgba, page.rgba[..., 3] > 0
    if page.blend == "over":
        return {"rgba": rgba, "mask": mask, "theta": (rgba / 255).astype(np.float32)}
    change = (rgba[..., :3].astype(np.float64) - 128) / 127 * (page.delta_scale or 1.0)
    return {"rgba": rgba, "mask": mask, "theta": (change * mask[..., None]).astype(np.float32), "delta": page.delta}


def _canvas_steps(canvas: Canvas) -> list[dict[str, Any]]:
    """Returns the steps from an upright RGB image to the canvas, those that do nothing left out.

    FORMAT.md, in the folder `prompt` of this package, says exactly what each step computes.
    """
    return list(_steps(canvas))


def _steps(canvas: Canvas) -> Iterator[dict[str, Any]]:
    if canvas.flip:
        yield {"step": "flip"}
    if canvas.quarter_turns:
        yield {"step": "turn", "quarters": canvas.quarter_turns}
    top, left, height, width = canvas.image_box
    yield from _fitting(canvas, height, width)
    if canvas.oblique_rotation:
        angle = canvas.oblique_rotation
        yield {"step": "rotate", "degrees": angle, "filter": canvas.rotation_filter, "fill": canvas.fill}
    if canvas.image_box != (0, 0, *canvas.size):
        yield {"step": "paste", "top": top, "left": left, "size": canvas.size, "fill": canvas.fill}


def _fitting(canvas: Canvas, height: int, width: int) -> Iterator[dict[str, Any]]:
    tall, wide = canvas.uncropped(height, width)
    tone = [] if canvas.tone.is_plain else [{"step": "tone", "table": canvas.tone.table}]
    if canvas.aspect == "letterbox":
        yield {"step": "resize", "to": "fit", "size": [height, width], "filter": canvas.resample}
        yield from tone
        yield {"step": "pad", "size": [height, width], "fill": canvas.fill}
        return
    if canvas.aspect == "crop":
        yield {"step": "limit aspect", "size": [height, width], "times": MOST_ASPECT}
    mode = "cover" if canvas.aspect == "crop" else "stretch"
    yield {"step": "resize", "to": mode, "size": [tall, wide], "filter": canvas.resample}
    yield {"step": "crop", "size": [height, width]}
    yield from tone
