"""Weight files that users give by hand, and fitting them to a net. Nothing is unpickled."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..core import ModelError
from ..files import open_regular

__all__ = ["load_weights", "num_rows", "read_weights"]

_WRAPPERS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.")
_COUNTER = "num_batches_tracked"
"""A BatchNorm counter is no weight, and old files lack it."""
_MAX_NAMES = 3


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads a .safetensors file, or a file of `torch.save` with tensors only.

    Returns:
        Name -> tensor on the CPU, without the wrappings of training scripts.

    Raises:
        ModelError: It cannot be read, or holds something else than tensors.
    """
    try:
        open_regular(path).close()
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"cannot read the weights {path}: {error.strerror or error}.") from error
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise ModelError(
            f"cannot read the weights {path}: they are damaged, or hold more than tensors. "
            "Expected .safetensors, or what torch.save(net.state_dict(), file) writes."
        ) from error
    return _unwrapped(content, path)


def load_weights(net: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Copies tensors into a net whose names and shapes they must match exactly.

    Args:
        net: Changed in place.
        tensors: By the names of the net's `state_dict`.
        source: Where they come from, for the message.

    Raises:
        ModelError: Some are missing, unexpected or of another shape; nothing was copied.
    """
    own = net.state_dict()
    missing = [name for name in own if name not in tensors and not name.endswith(_COUNTER)]
    unexpected = [name for name in tensors if name not in own and not name.endswith(_COUNTER)]
    shapes = [
        f"{name} {tuple(tensors[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    kinds = (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
    parts = [f"{len(names)} {what} ({_some_names(names)})" for what, names in kinds if names]
    if parts:
        raise ModelError(
            f"the weights {source} do not fit the net ({len(tensors)} tensors for {len(own)}): {', '.join(parts)}. "
            "Is it the file of another architecture?"
        )
    net.load_state_dict(dict(tensors), strict=False)


def num_rows(tensors: Mapping[str, Tensor], layer: str) -> int | None:
    """Returns how many outputs a file's classifier has, or None where the file does not hold that layer."""
    weight = tensors.get(f"{layer}.weight")
    return None if weight is None or weight.ndim == 0 else int(weight.shape[0])


def _unwrapped(content: object, path: Path) -> dict[str, Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise ModelError(f"the weights {path} hold {type(content).__name__}, expected a mapping from names to tensors.")
    strange = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if strange:
        raise ModelError(f"the weights {path} hold {len(strange)} values that are no tensors: {_some_names(strange)}.")
    tensors = {str(name): value for name, value in content.items()}
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors


def _some_names(names: list[str]) -> str:
    return ", ".join(names[:_MAX_NAMES]) + (", ..." if len(names) > _MAX_NAMES else "")
