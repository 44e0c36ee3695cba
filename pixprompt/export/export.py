"""Writing a prompt in a form that other programs read."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from ..canvas import Pixels
from ..files import make_folder, write_bytes
from ..prompt import Committee, Prompt
from .arrays import arrays
from .canvas_steps import canvas_steps
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
    np.savez_compressed(buffer, allow_pickle=False, **arrays(page))
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
        files[f"{place}canvas.json"] = _json({"size": page.canvas.size, "steps": canvas_steps(page.canvas)})
        files |= {f"{place}{name}": content for name, content in _WRITERS[form][0](page).items()}
    threshold = {"threshold": prompt.cascade["threshold"]} if prompt.cascade else {}
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
