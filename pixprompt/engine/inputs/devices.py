"""Where a model works, and in which precision it is trained."""

from __future__ import annotations

import torch

from ...core import ConfigError, Model
from ...models import TorchModel

__all__ = ["device_of", "pick_autocast", "pick_device"]


def pick_device(name: str) -> str:
    """Resolves "auto", and checks that the device is there.

    Raises:
        ConfigError: torch does not know or have the device, or it cannot compute.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        if torch.empty(0, device=name).is_meta:
            raise RuntimeError("it computes nothing")
    except (RuntimeError, AssertionError, ImportError) as error:
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
    """Returns the type of training steps, or None for plain float32; "auto" takes bf16 where the device computes in it.

    On processors that have it a step takes about half the time (experiments/benchmarks); others imitate it slowly.
    """
    is_fast = precision == "bf16" or (precision == "auto" and _computes_in_bf16(torch.device(device).type))
    return torch.bfloat16 if is_fast else None


def _computes_in_bf16(kind: str) -> bool:
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    has: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # an older torch does not say
    return kind == "cpu" and bool(has.get("avx512_bf16") or has.get("amx_bf16"))
