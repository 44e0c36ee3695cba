"""A frozen module run with learned copies of some of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from torch import Tensor, nn
from torch.func import functional_call

__all__ = ["Copies"]


class Copies(nn.Module):
    """Holds learned copies of parameters and runs the module with them in place; the others stay as they are, shared.

    Args:
        module: Never changed; frozen while this is called, so that no other parameter gets a gradient.
        chosen: The parameters to copy, by their names in the module.
    """

    def __init__(self, module: nn.Module, chosen: Mapping[str, nn.Parameter]) -> None:
        super().__init__()
        self._module = (module,)
        for name, value in chosen.items():
            # A parameter's name may hold no dots.
            self.register_parameter(name.replace(".", "/"), nn.Parameter(value.detach().clone()))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns what the module makes of the inputs, with the copies."""
        copies: dict[str, Tensor] = {name.replace("/", "."): value for name, value in self.named_parameters()}
        return cast(Tensor, functional_call(self._module[0], copies, inputs))
