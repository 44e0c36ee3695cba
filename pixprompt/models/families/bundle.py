"""`bundle:FOLDER`: a model in one folder that loads with the network cut, and is refused once it was changed.

The folder has the weights, a picture, and `bundle.json`: which architecture, at which revision, with which
preprocessing, and what the model answers about the picture. It names no code: an architecture is one that timm or
torchvision builds.
"""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from ...canvas import Canvas, decode
from ...canvas.encoding import encode_png
from ...core import ConfigError, ModelError
from ...files import file_sha256, make_folder, read_json, write_bytes, write_json
from ...tensor_checks import to_images
from ..loading import full_name, load_model
from ..torch_model import TorchModel, local_net

__all__ = ["check_bundle", "load", "write_bundle"]

_FILES = ("weights.safetensors", "sanity.png")
_SCHEMA = 1
_ARCHITECTURE = re.compile(r"(timm|torchvision|efficientnet_lite|moco_v3):[A-Za-z0-9_.-]+")
_TOLERANCE = 1e-3
"""Of the answers about the picture, as a share of their largest value: processors round in their own ways."""


def write_bundle(name: str, folder: Path, *, weights: Path | None = None, image: Path | None = None) -> dict[str, Any]:
    """Writes a model to a folder, and returns its description.

    Args:
        name: As for `load_model`.
        folder: New or empty.
        image: The picture that it answers; a generated one where it is None.

    Raises:
        ConfigError: The folder is not empty.
        ModelError: The model cannot be had, or is none of a library's nets.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty; choose another --out.")
    architecture, _, tag = full_name(name).partition("/")
    if not _ARCHITECTURE.fullmatch(architecture):
        raise ModelError(f"{name!r} cannot be bundled: only nets that timm or torchvision builds can.")
    model = local_net(load_model(name, weights=weights), "a bundle")
    picture = Image.fromarray(_pattern(*model.spec.image_size)) if image is None else decode(image)
    pixels = Canvas.for_model(model.spec).make(picture)
    make_folder(folder)
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in model.net.state_dict().items()}
    write_bytes(folder / _FILES[0], save(tensors))
    write_bytes(folder / _FILES[1], encode_png(pixels))
    values = {
        "schema": _SCHEMA,
        "name": name,
        "architecture": architecture,
        "revision": _revision(model, tag) if weights is None else None,
        "preprocessing": _preprocessing(model),
        "sha256": {file: file_sha256(folder / file) for file in _FILES},
        "answer": _answer(model, pixels).tolist(),
    }
    write_json(folder / "bundle.json", values)
    return values


def load(target: str, *, name: str, weights: Path | None = None) -> TorchModel:
    """Loads a bundle.

    Args:
        target: Its folder.
        weights: None: a bundle has its own.

    Raises:
        ConfigError: Weights are given.
        ModelError: It is damaged, was changed, or this installation prepares images in another way.
    """
    if weights is not None:
        raise ConfigError("--weights does not go with a bundle, which has its own.")
    folder = Path(target).expanduser()
    values = _description(folder)
    for file, digest in values["sha256"].items():
        if file not in _FILES or file_sha256(folder / file) != digest:
            raise ModelError(f"{folder}: {file} does not match its digest; it is damaged, or was changed.")
    model = local_net(load_model(values["architecture"], weights=folder / _FILES[0]), "a bundle")
    if _preprocessing(model) != values["preprocessing"]:
        raise ModelError(
            f"{folder} was made for images that are prepared in another way than this installation does it; "
            f"bundle {values['name']!r} again, or install the libraries that it was made with."
        )
    model.spec = replace(model.spec, name=name)
    return model


def check_bundle(folder: Path) -> dict[str, Any]:
    """Loads a bundle, compares its answer to its picture, and returns its description.

    Raises:
        ModelError: It cannot be loaded, or answers something else than it did when it was made.
    """
    values, model = _description(folder), load(str(folder), name=f"bundle:{folder}")
    pixels, expected = np.asarray(decode(folder / _FILES[1])), np.asarray(values["answer"], np.float32)
    answer = _answer(model, pixels)
    if answer.shape != expected.shape or np.abs(answer - expected).max() > _TOLERANCE * np.abs(expected).max():
        raise ModelError(f"{folder} loads, but answers its picture otherwise than it did when it was made.")
    return values


def _description(folder: Path) -> dict[str, Any]:
    """Reads bundle.json.

    Raises:
        ModelError: There is none, or it is damaged.
    """
    path = folder / "bundle.json"
    try:
        values: dict[str, Any] = read_json(path)
        if values["schema"] != _SCHEMA or not _ARCHITECTURE.fullmatch(values["architecture"]):
            raise ValueError("of another schema, or of an architecture that no library builds")
        if sorted(values["sha256"]) != sorted(_FILES) or not isinstance(values["preprocessing"], dict):
            raise ValueError("incomplete")
        np.asarray(values["answer"], np.float32)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} describes no bundle: {error}.") from error
    return values


def _preprocessing(model: TorchModel) -> dict[str, Any]:
    """Returns all that decides how an image reaches the net, in JSON."""
    spec = asdict(model.spec)
    names = ("num_outputs", "answer", "resample", "crop_pct", "aspect")
    statistics = {"mean": model.mean.flatten().tolist(), "std": model.std.flatten().tolist()}
    return {"image_size": list(model.spec.image_size), **{name: spec[name] for name in names}, **statistics}


def _revision(model: TorchModel, tag: str) -> str | None:
    """Returns the name of the published weights in their library; None where it has none."""
    config: Any = getattr(model.net, "pretrained_cfg", None)
    return tag or (config and (config.get("hf_hub_id") or config.get("tag"))) or None


@torch.no_grad()
def _answer(model: TorchModel, pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    place = next(model.net.parameters()).device
    answer: np.ndarray[Any, Any] = model(to_images(pixels[None], str(place)))[0].float().cpu().numpy()
    return answer


def _pattern(height: int, width: int) -> np.ndarray[Any, Any]:
    """Returns a colourful picture, (H, W, 3) uint8, the same on every machine."""
    rows, columns = np.mgrid[0:height, 0:width]
    shapes = (rows * 255 // height, columns * 255 // width, np.where((rows // 16 + columns // 16) % 2, 230, 25))
    return np.stack(shapes, axis=-1).astype(np.uint8)
