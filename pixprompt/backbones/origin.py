"""Where a backbone comes from, and which weights it has."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from ..files.tensors import tensors_sha256
from ..models import TorchModel

__all__ = ["backbone_sha256", "comes_from"]


def comes_from(net: nn.Module, library: str) -> bool:
    """Whether a net's class, or one above it, belongs to a library, by the name alone: nothing is imported."""
    return any(kind.__module__.partition(".")[0] == library for kind in type(net).__mro__)


def backbone_sha256(model: TorchModel, parameters: Iterable[nn.Parameter]) -> str:
    """Returns a digest of all that a backbone's results depend on, the same in every precision.

    That is parameters, the statistics of BatchNorm and other stored buffers, and the normalisation.

    Args:
        parameters: Those of its net that count: for most uses, all but its own classifier's.
    """
    counted = {id(parameter) for parameter in parameters}
    others = {id(parameter) for parameter in model.net.parameters()} - counted
    tensors = model.net.state_dict(keep_vars=True).items()
    state = {name: value for name, value in tensors if isinstance(value, Tensor) and id(value) not in others}
    state |= {"normalisation mean": model.mean, "normalisation std": model.std}
    return tensors_sha256({name: value.float() for name, value in state.items()})
