"""Checkpoints: one safetensors file, replaced at once, with everything that the next epoch needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ...core import PixpromptError
from ...files import make_folder, write_bytes

__all__ = ["load_state", "pack_optimizer", "save_state", "unpack_optimizer"]


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
        with safe_open(path, framework="pt") as file:
            values = json.loads(file.metadata()["values"])
            return {name: file.get_tensor(name) for name in file.keys()}, values  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise PixpromptError(f"{path} is damaged ({error}). Delete it to start the run again.") from error


def pack_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Splits an optimiser's state into tensors ("optimizer/<parameter>/<name>") and plain numbers."""
    tensors, numbers = {}, {}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            key = f"optimizer/{index}/{name}"
            if isinstance(value, Tensor):
                tensors[key] = value.clone()  # the optimiser goes on writing to its own
            else:
                numbers[key] = value
    return tensors, numbers


def unpack_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    """Restores what `pack_optimizer` took; the settings of the groups stay those of `optimizer`."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in [*tensors.items(), *numbers.items()]:
        if key.startswith("optimizer/"):
            _, index, name = key.split("/")
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
