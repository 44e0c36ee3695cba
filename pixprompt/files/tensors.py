"""Tensors and a JSON object in one safetensors file; the digest of tensors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..core import PixpromptError
from . import make_folder, open_regular, write_bytes

__all__ = ["load_state", "save_state", "tensors_sha256"]


def save_state(path: Path, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """Writes tensors and a JSON object to one file."""
    make_folder(path.parent)
    plain = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    write_bytes(path, save(plain, metadata={"values": json.dumps(values)}))


def load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Reads what `save_state` wrote; None where there is no such file.

    Raises:
        PixpromptError: The file is damaged.
    """
    if not path.exists():
        return None
    try:
        open_regular(path).close()
        with safe_open(path, framework="pt") as file:
            values = json.loads(file.metadata()["values"])
            return {name: file.get_tensor(name) for name in file.keys()}, values  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise PixpromptError(f"{path} is damaged ({error}). Delete it to start the run again.") from error


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Returns the digest of tensors: names, types, shapes and values; neither their order nor their memory layout."""
    content = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        content.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return content.hexdigest()
