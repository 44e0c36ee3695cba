"""Using a caller's net without changing it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from torch import nn

__all__ = ["frozen"]

Net = TypeVar("Net", bound=nn.Module)


@contextmanager
def frozen(net: Net) -> Iterator[Net]:
    """Holds a net in evaluation mode without parameter gradients, and restores every flag at the end.

    Gradients still flow through the net to its input. A graph that was built inside stays frozen outside.

    Args:
        net: Any module; its weights and buffers are not touched.

    Returns:
        A context manager that gives the same net.
    """
    training = [(module, module.training) for module in net.modules()]
    wanting = [parameter for parameter in net.parameters() if parameter.requires_grad]
    for module, _ in training:
        module.training = False
    for parameter in wanting:
        parameter.requires_grad_(False)
    try:
        yield net
    finally:
        for module, flag in training:
            module.training = flag
        for parameter in wanting:
            parameter.requires_grad_(True)
