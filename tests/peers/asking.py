"""How the tests ask a peer: pictures, the answers that are right, and a model made as the command line makes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pixprompt.remote import RemoteModel, connect

from .served.linear import SIDE, score


def make_pixels(count: int, seed: int = 0, side: int = SIDE) -> npt.NDArray[np.uint8]:
    """Pictures (N, H, W, 3) of one bright colour each, with noise: the model sees them well."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(130, 256, (count, 1, 1, 3))
    return np.clip(colours + rng.integers(-40, 41, (count, side, side, 3)), 0, 255).astype(np.uint8)


def to_images(pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def right(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """What the model says, without any server."""
    result: npt.NDArray[np.float32] = score(to_images(pixels).numpy())
    return result


def describe(folder: Path, **any: Any) -> str:
    """Writes a description and returns what to give as `endpoint`."""
    path = folder / "endpoint.json"
    path.write_text(json.dumps(any))
    return str(path)


def model(url: str, folder: Path, options: Mapping[str, Any] | None = None, **any: Any) -> RemoteModel:
    return connect(url, endpoint=describe(folder, options=dict(options or {}), **any), deadline=20.0)


def ask(remote: RemoteModel, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    answers: npt.NDArray[np.float32] = remote(to_images(pixels)).numpy()
    return answers
