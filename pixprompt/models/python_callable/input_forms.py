"""What a callable takes: which form of images, as far as that shows without a query, and how they are handed over."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from ...core import ConfigError

__all__ = ["INPUT_FORMS", "declared_form", "hand_over", "likely_forms"]

INPUT_FORMS = ("tensor", "image", "images", "array")
"""A float tensor (N, 3, H, W) in [0, 1]; one PIL image; a list of PIL images; a uint8 array (N, H, W, 3)."""
_ANNOTATIONS = (
    (r"\b(list|tuple|Sequence|Iterable|Collection)\[.*\bImage\b", "images"),
    (r"\bImage\b", "image"),
    (r"\b(ndarray|NDArray)\b", "array"),
    (r"\bTensor\b", "tensor"),
)
_SINGULAR = re.compile(r"image|img|photo|picture|pil(_image|_img)?", re.IGNORECASE)


def declared_form(function: Callable[..., object], takes: str | None) -> str | None:
    """Returns what a callable takes, as far as that is said: by `takes`, an attribute of that name, an annotation.

    Args:
        function: Any callable; the annotation of its first parameter counts, also as a string.
        takes: One of INPUT_FORMS; goes before what the callable says.

    Raises:
        ConfigError: It is none of INPUT_FORMS.
    """
    declared = getattr(function, "takes", None) if takes is None else takes
    if declared is not None:
        if declared not in INPUT_FORMS:
            raise ConfigError(f"takes= is one of {', '.join(INPUT_FORMS)}, got {declared!r}.")
        return str(declared)
    parameter = _first_parameter(function)
    if parameter is None or parameter.annotation is inspect.Parameter.empty:
        return None
    annotation = parameter.annotation
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    if text.startswith("<module"):  # `image: Image` after `from PIL import Image`
        text = annotation.__name__
    return next((form for pattern, form in _ANNOTATIONS if re.search(pattern, text.replace("List", "list"))), None)


def likely_forms(function: Callable[..., object]) -> tuple[str, ...]:
    """Returns the forms to try where nothing is said: a tensor first, but for a parameter called `image` or so."""
    parameter = _first_parameter(function)
    if parameter is not None and _SINGULAR.fullmatch(parameter.name):
        return ("image", "tensor", "array", "images")
    return ("tensor", "image", "array", "images")


def hand_over(images: Tensor, form: str) -> list[Image.Image] | npt.NDArray[np.uint8]:
    """Returns images (N, 3, H, W) in [0, 1] as one of the 8-bit forms, rounded to the nearest of the 256 values.

    Args:
        images: Floating-point, on any device; k/255 becomes k exactly.
        form: "image" and "images" give N PIL images, "array" a uint8 array (N, H, W, 3) of its own.
    """
    steps = (images.detach().float() * 255).round().clamp(0, 255).to(torch.uint8)
    pixels: npt.NDArray[np.uint8] = steps.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    if form == "array":
        return pixels
    return [Image.fromarray(row) for row in pixels]


def _first_parameter(function: Callable[..., object]) -> inspect.Parameter | None:
    try:
        return next(iter(inspect.signature(function).parameters.values()), None)
    except (TypeError, ValueError):  # built in C
        return None
