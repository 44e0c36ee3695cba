"""Callables of every form, and images for them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pixprompt.core import Model
from pixprompt.models import as_model

SIZE = (4, 6)
FORMS = ("tensor", "image", "images", "array")


def pixels_of(inputs: object) -> np.ndarray:
    """Whatever a callable is given, as (N, H, W, 3) of 0..255."""
    if isinstance(inputs, Tensor):
        return (inputs.detach() * 255).round().permute(0, 2, 3, 1).numpy().astype(np.uint8)
    if isinstance(inputs, Image.Image):
        return np.asarray(inputs)[None]
    return np.stack([np.asarray(item) for item in inputs])  # type: ignore[union-attr, call-overload]


def shares(inputs: object) -> np.ndarray:
    """Three probabilities per image, out of its mean colour."""
    mean = pixels_of(inputs).mean((1, 2)) + 1
    return np.asarray(mean / mean.sum(1, keepdims=True))


RETURNS: dict[str, Callable[[np.ndarray], object]] = {
    "array": lambda row: row,
    "float32": lambda row: row.astype(np.float32),
    "tensor": torch.from_numpy,
    "list": lambda row: row.tolist(),
    "dict": lambda row: dict(zip("rgb", row.tolist(), strict=True)),
    "pairs": lambda row: list(zip("rgb", row.tolist(), strict=True)),
    "pipeline": lambda row: [{"label": name, "score": share} for name, share in zip("rgb", row.tolist(), strict=True)],
    "text": lambda row: "rgb"[int(row.argmax())],
}


def callable_of(form: str, returns: str, calls: list[object] | None = None) -> Callable[[object], object]:
    def answer(inputs: object) -> object:
        if calls is not None:
            calls.append(inputs)
        rows = [RETURNS[returns](row) for row in shares(inputs)]
        if form == "image":
            return rows[0]
        return torch.stack(rows) if returns == "tensor" else np.stack(rows) if returns == "array" else rows  # type: ignore[arg-type]

    return answer


def photos(count: int = 5) -> Tensor:
    levels = torch.randint(256, (count, 3, *SIZE), generator=torch.Generator().manual_seed(0))
    return levels.float() / 255


def constant(reply: object, **options: object) -> Model:
    return as_model(lambda image: reply, takes="image", image_size=SIZE, **options)  # type: ignore[arg-type]
