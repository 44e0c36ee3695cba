"""Extractors: from canvases to the features that distances between data sets are taken in."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ...canvas import Canvas
from ...core import AnswerKind, Model, RangeError, ShapeError
from ...files.tensors import tensors_sha256
from ...models import load_model
from .inception import DIM, SIZE, load_inception, resize_tf1

__all__ = ["Extractor", "Features", "Images", "as_levels", "inception", "model_answers", "open_clip", "weights_sha256"]

Features = npt.NDArray[np.float32]
Images = npt.NDArray[Any] | Sequence[npt.NDArray[Any]]
"""(N, H, W, 3), or N arrays (H, W, 3) of sizes that may differ; uint8, or floats in [0, 1]."""
_FORMAT = 1
"""To be raised when the same weights and images give other features than before."""


@dataclass(frozen=True, eq=False)
class Extractor:
    """A network as a function from canvases to features.

    Attributes:
        name: What its numbers are called by.
        family: "inception" (FID and KID may be taken in it), "clip" (CMMD) or "model".
        sha256: Of the weights, whatever file they came from; "" where nobody can see them.
        dim: D, the length of a feature.
        canvas: How an image becomes a canvas; None leaves it at its own size, and the extractor resizes inside.
        resize: The same in words.
        embed: N canvases in 0..255 -> (N, D).
        dtype: In which the network computes.
        nonce: Stands for weights that nobody can see: such features are cached for this object alone.
    """

    name: str
    family: str
    sha256: str
    dim: int
    canvas: Canvas | None
    resize: str
    embed: Callable[[Sequence[npt.NDArray[Any]]], Tensor]
    dtype: str = "float32"
    nonce: str = field(default_factory=lambda: os.urandom(8).hex(), repr=False)

    @property
    def digest(self) -> str:
        """Identity of the features that it makes, for caches."""
        canvas = self.canvas.to_json() if self.canvas else None
        identity = [_FORMAT, self.name, self.sha256 or self.nonce, self.dim, canvas, self.resize, self.dtype]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]

    def to_json(self) -> dict[str, Any]:
        """Returns what has to stand beside every number."""
        return {"extractor": self.name, "weights_sha256": self.sha256, "resize": self.resize, "dtype": self.dtype}

    @torch.no_grad()
    def __call__(self, images: Images, /) -> Features:
        """Returns features (N, D) float32.

        Args:
            images: (N, H, W, 3), or N arrays (H, W, 3); uint8, or floats in [0, 1].

        Raises:
            RangeError: The values are of another range; the message says which.
            ShapeError: The shape is another one.
        """
        return self.embed([as_levels(image) for image in images]).float().cpu().numpy()


def as_levels(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Returns an image (H, W, 3) in 0..255: uint8 as it is, floats in [0, 1] as float32 levels without rounding.

    Raises:
        RangeError: It is neither.
        ShapeError: It has another shape.
    """
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ShapeError(f"expected canvases (H, W, 3), got {image.shape}. Images (N, 3, H, W) need a transpose.")
    if image.dtype == np.uint8:
        return image
    low, high = float(image.min()), float(image.max())
    if not np.issubdtype(image.dtype, np.floating) or not (low >= 0 and high <= 1):
        raise RangeError(
            f"expected uint8, or floats in [0, 1], got {image.dtype} with min {low:.4g}, max {high:.4g}. "
            "Already normalised? Extractors do that themselves."
        )
    return image.astype(np.float32) * np.float32(255)


def inception(file: str | Path | None = None, *, device: str = "cpu") -> Extractor:
    """Returns the extractor of FID and KID: the pooled layer of Inception-2015.

    Args:
        file: Weights; None looks for them as `find_inception` does.

    Raises:
        ModelError: The weights cannot be had or are others.

    Reference: arXiv:1706.08500.
    """
    net = load_inception(file)
    digest = weights_sha256(net)
    net.to(device)

    def embed(canvases: Sequence[npt.NDArray[Any]]) -> Tensor:
        levels = torch.from_numpy(np.stack([resize_tf1(canvas) for canvas in canvases])).to(device).permute(0, 3, 1, 2)
        features: Tensor = net((levels - 128) / 128)
        return features

    resize = f"each image from its own size to {SIZE}x{SIZE}, bilinear as in TensorFlow 1, no antialiasing"
    return Extractor("inception-2015", "inception", digest, DIM, None, resize, embed)


def open_clip(name: str, *, weights: str | Path | None = None, device: str = "cpu") -> Extractor:
    """Returns the image tower of a CLIP model: unit-length embeddings, as CMMD takes them.

    Args:
        name: What `load_model` takes.
        weights: A file to take the weights from.

    Reference: arXiv:2401.09603.
    """
    return model_answers(load_model(name, weights=weights, device=device), device=device)


def model_answers(model: Model, *, device: str = "cpu") -> Extractor:
    """Returns the answers of any model as features; each image costs one query.

    Args:
        model: Of family "clip" where it answers with embeddings.
    """
    spec = model.spec
    canvas = Canvas(spec.image_size, resample=spec.resample, crop_pct=spec.crop_pct, aspect=spec.aspect)

    def embed(canvases: Sequence[npt.NDArray[Any]]) -> Tensor:
        images = torch.from_numpy(np.stack(canvases)).to(device).permute(0, 3, 1, 2).float() / 255
        return model(images)

    return Extractor(
        name=spec.name,
        family="clip" if spec.answer is AnswerKind.EMBEDDINGS else "model",
        sha256=weights_sha256(model) if isinstance(model, nn.Module) else "",
        dim=spec.num_outputs,
        canvas=canvas,
        resize=f"canvas {spec.image_size[0]}x{spec.image_size[1]}, {spec.resample} with antialiasing, {spec.aspect}",
        embed=embed,
    )


def weights_sha256(net: nn.Module) -> str:
    """Returns the digest of a net's weights, whichever file they came in: not every file counts batches."""
    state = net.state_dict().items()
    return tensors_sha256({name: value for name, value in state if not name.endswith("num_batches_tracked")})
