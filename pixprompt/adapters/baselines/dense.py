"""Small linear layers whose first weights depend on the generator alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ...core import ConfigError

__all__ = ["ACTIVATIONS", "Bottleneck", "uniform", "zero_linear"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "relu": F.relu}


class Bottleneck(nn.Module):
    """Down to a few features, an activation, and up again; 0 for every input at first.

    `down` starts away from zero and `up` at zero. With both at zero and an activation that keeps 0, neither weight
    would ever get a gradient.

    Args:
        width: D.
        bottleneck: Features in the middle.
        activation: "gelu" or "relu".
        generator: Draws `down`.

    Raises:
        ConfigError: The bottleneck is empty, or the activation unknown.
    """

    def __init__(self, width: int, bottleneck: int, *, activation: str, generator: Generator) -> None:
        super().__init__()
        if not 1 <= bottleneck <= width:
            raise ConfigError(f"a bottleneck has 1 to {width} features, the width of the layer; got {bottleneck}.")
        if activation not in ACTIVATIONS:
            raise ConfigError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}.")
        self.activation = ACTIVATIONS[activation]
        self.down = zero_linear(width, bottleneck)
        with torch.no_grad():
            self.down.weight.copy_(uniform(bottleneck, width, generator=generator))
        self.up = zero_linear(bottleneck, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (..., D) -> (..., D)."""
        return self.up(self.activation(self.down(tokens)))  # type: ignore[no-any-return]


def zero_linear(num_inputs: int, num_outputs: int) -> nn.Linear:
    """Returns a linear layer of zeros."""
    linear: nn.Linear = nn.utils.skip_init(nn.Linear, num_inputs, num_outputs)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.zero_()
    return linear


def uniform(num_outputs: int, num_inputs: int, *, generator: Generator) -> Tensor:
    """Returns weights (num_outputs, num_inputs), uniform in +-1 / sqrt(num_inputs): Kaiming with a = sqrt(5)."""
    return (torch.rand(num_outputs, num_inputs, generator=generator) * 2 - 1) / math.sqrt(num_inputs)
