"""What every adapter shares: a frozen model beside it, which follows it and is no part of its state."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from ..models import DirectQuerier

__all__ = ["BesideModel", "module_of"]


class BesideModel(nn.Module):
    """A module that learns beside a model.

    The model follows `to`, `double` and `deepcopy`; neither `parameters()` nor `state_dict()` hold anything of it. A
    copy has a model of its own where that is a torch module; what cannot be copied, an endpoint or a function, both
    share.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        # In a tuple, so that the model is no submodule: it belongs to the caller, not to this adapter's state.
        self._model = (model,)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        net = module_of(self._model[0])
        if net is not None:
            net._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def save(self, path: str | Path) -> None:
        """Writes what was learned, and how to build this adapter again, to a safetensors file.

        `pixprompt.load_adapter(path, model)` reads it back. Nothing of the model is in it but a digest.

        Raises:
            ConfigError: The adapter was built by other means than the functions of `pixprompt.adapters`.
        """
        from .saving import save_adapter

        save_adapter(path, self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        model = self._model[0]
        if module_of(model) is None:
            memo[id(model)] = model
        clone = type(self).__new__(type(self))
        memo[id(self)] = clone
        clone.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return clone


def module_of(model: object) -> nn.Module | None:
    """Returns the net of a model that is one, queried directly or not; None for what only answers."""
    inner = model.model if isinstance(model, DirectQuerier) else model
    return inner if isinstance(inner, nn.Module) else None
