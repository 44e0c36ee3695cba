"""Reading prompt files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..canvas import Canvas, Pixels
from ..core import PromptError
from .committee import Committee
from .prompt import Prompt
from .prompt_file import name_of, read_prompt_file, take

__all__ = ["load", "load_committee"]

_PAGE: dict[str, tuple[type, ...]] = {
    "template": (dict,),
    "blend": (str,),
    "delta_scale": (float, int, type(None)),
    "canvas": (dict,),
}
_FILE_FIELDS: dict[str, tuple[type, ...]] = {
    "model": (str,),
    "weights_sha256": (str,),
    "output": (dict,),
    "seed": (int,),
    "metrics": (dict,),
    "version": (str,),
}
_ADAPTER = "adapter.safetensors"
_CASCADE: dict[str, tuple[type, ...]] = {"cascade": (dict,)}


def load(path: str | Path) -> Prompt:
    """Reads a prompt PNG and checks it against its digests. Runs no code from the file.

    Raises:
        PromptError: The file is no prompt, of a newer schema, was changed after it was saved, or holds several.
    """
    committee = load_committee(path)
    if len(committee.pages) > 1:
        raise PromptError(
            f"{path} holds {len(committee.pages)} prompts, each for the same image; read them with "
            "pixprompt.load_committee, whose apply returns one image for each."
        )
    return committee.single


def load_committee(source: str | Path | bytes) -> Committee:
    """Reads a prompt PNG, or the bytes of one, with one prompt or several; otherwise as `load`.

    Raises:
        PromptError: The file is no prompt, of a newer schema, or was changed after it was saved.
    """
    path = name_of(source)
    if not isinstance(source, bytes) and not Path(source).exists() and Path(source).with_name(_ADAPTER).exists():
        raise PromptError(
            f"{Path(source).parent} holds no prompt PNG but {_ADAPTER}: another prompt for each image, or something "
            "inside the model, which no PNG can hold. Give the folder to pixprompt predict or evaluate."
        )
    pixels, values = read_prompt_file(source)
    if "pages" not in values:
        return Committee((_page(path, pixels, values),), **take(path, values, _FILE_FIELDS))
    pages = values["pages"]
    if values["schema"] < 2 or not isinstance(pages, list) or not pages or len(pixels) % len(pages):
        raise PromptError(f"{path}: {len(pixels)} rows of pixels cannot hold the pages that the metadata describe.")
    prompts = [_page(path, rows, page) for rows, page in zip(np.split(pixels, len(pages)), pages, strict=True)]
    optional = take(path, values, _CASCADE) if "cascade" in values else {}
    return Committee(tuple(prompts), **take(path, values, _FILE_FIELDS), **optional)


def _page(path: str | Path, pixels: Pixels, values: Any) -> Prompt:
    if not isinstance(values, dict):
        raise PromptError(f"{path}: a page is described by a {type(values).__name__} instead of an object.")
    fields = take(path, values, _PAGE)
    try:
        return Prompt(rgba=pixels, **{**fields, "canvas": Canvas.from_json(fields["canvas"])})
    except PromptError as error:
        raise PromptError(f"{path}: {error}") from error
