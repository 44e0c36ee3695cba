"""Where a model works, and in which precision it is trained."""

from __future__ import annotations

import torch

from ...core import ConfigError, Model
from ...models import TorchModel

__all__ = ["device_of", "pick_autocast", "pick_device"]

_DEVICES = ("cpu", "cuda", "mps", "xpu")


def pick_device(name: str) -> str:
    """Resolves "auto", and checks that the device is there.

    Raises:
        ConfigError: torch does not know or have the device, or it cannot compute.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        if torch.device(name).type not in _DEVICES:
            raise RuntimeError(f"expected one of {', '.join(_DEVICES)}")
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {name!r} is not available ({error}). Use --device cpu or auto.") from error
    return name


def device_of(model: Model, name: str) -> str:
    """Returns where a model that a caller brought is; it is not moved.

    Raises:
        ConfigError: Another device is wanted.
    """
    place = model.mean.device if isinstance(model, TorchModel) else torch.device("cpu")
    if name != "auto" and torch.device(pick_device(name)).type != place.type:
        raise ConfigError(f"the model is on {place}, but device {name!r} is asked for; move the model first.")
    return str(place)


def pick_autocast(precision: str, device: str) -> torch.dtype | None:
    """Returns the type of training steps, or None for plain float32; "auto" takes bf16 on GPUs that have it.

    On a CPU float32 is the faster one as soon as freed memory is kept (experiments/benchmarks/train_step.py).
    """
    fast_gpu = torch.device(device).type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if precision == "bf16" or (precision == "auto" and fast_gpu) else None
