"""Baselines that tune learned copies of the backbone's own parameters; the backbone itself stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from torch import Generator, Tensor, nn
from torch.func import functional_call

from ...core import ConfigError
from ...models import TorchModel
from ..heads import ClassifierHead
from ..whitebox import Parts
from .base import Baseline

__all__ = ["Bias", "Copies", "Full"]


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


class Full(Baseline):
    """Learned copies of all backbone parameters, of any model.

    Evaluation mode stays: BatchNorm learns its weights and biases and keeps its running statistics.

    Reference: arXiv 2203.12119, section 4.1 (Full).
    """

    def __init__(self, model: TorchModel, classes: tuple[str, ...], *, generator: Generator) -> None:
        super().__init__(model, classes)
        self.copies = Copies(self.net, self.chosen())
        self.head = ClassifierHead(self.net.width(), len(classes), generator=generator)

    def chosen(self) -> dict[str, nn.Parameter]:
        """Returns the parameters that are tuned, by name."""
        return self.net.weights()

    def features(self, parts: Parts) -> Tensor:
        """See `Baseline`."""
        return self.copies(*parts)  # type: ignore[no-any-return]


class Bias(Full):
    """Learned copies of every bias of any model, the patch embedding's included; frozen weights get no gradients.

    Raises:
        ConfigError: The backbone has no biases.

    Reference: arXiv 2106.10199 (BitFit); arXiv 2203.12119, section 4.1 (Bias).
    """

    def chosen(self) -> dict[str, nn.Parameter]:
        """Returns the biases; `in_proj_bias` and `q_bias` are some, too."""
        biases = {name: value for name, value in self.net.weights().items() if name.endswith("bias")}
        if not biases:
            raise ConfigError(f"{self.model.spec.name} has no biases to tune; choose another method.")
        return biases
