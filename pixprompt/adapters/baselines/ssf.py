"""SSF: a learned scale and shift after each operation of the backbone."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call

from ...models import TorchModel
from ..heads import ClassifierHead
from ..whitebox import Parts
from .base import Baseline

__all__ = ["SSF"]

_DEVIATION = 0.02


class SSF(Baseline):
    """y = scale * x + shift for each channel, after every linear layer, convolution and norm of any model.

    Scales start as N(1, 0.02^2), shifts as N(0, 0.02^2). Both are merged into the weight and the bias of the operation
    before them, in training as well. Where it has no bias (a convolution with a norm behind it) there is no shift, and
    none of both at a convolution that standardizes its weight (BiT's), which undoes a scale.

    Reference: arXiv 2210.08823.
    """

    def __init__(self, model: TorchModel, classes: tuple[str, ...], *, generator: Generator) -> None:
        super().__init__(model, classes)
        # A parameter's name may hold no dots.
        self.scales, self.shifts = nn.ParameterDict(), nn.ParameterDict()
        for name, value in self.net.weights().items():
            if "StdConv" in type(self.net.get_submodule(name.rpartition(".")[0])).__name__:
                continue
            noise = _DEVIATION * torch.randn(value.shape[:1], generator=generator)
            if name.endswith("weight"):
                self.scales[name.replace(".", "/")] = nn.Parameter(1 + noise)
            elif name.endswith("bias") and f"{name[:-4]}weight" in self.net.weights():
                self.shifts[name.replace(".", "/")] = nn.Parameter(noise)
        self.head = ClassifierHead(self.net.width(), len(classes), generator=generator)

    def merged(self) -> dict[str, Tensor]:
        """Returns the backbone's weights and biases with scales and shifts in them, by their names in `net`."""
        own, merged = self.net.weights(), {}
        for key, scale in self.scales.items():
            name = key.replace("/", ".")
            merged[name] = own[name] * scale.view(-1, *[1] * (own[name].ndim - 1))
            bias = f"{name[:-6]}bias"
            if bias in own:
                merged[bias] = own[bias] * scale + self.shifts[bias.replace(".", "/")]
        return merged

    def features(self, parts: Parts) -> Tensor:
        """See `Baseline`."""
        return functional_call(self.net, self.merged(), parts)  # type: ignore[no-any-return]
