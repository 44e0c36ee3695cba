"""The classifier that learns on features of a frozen or prompted backbone."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ..core import ConfigError, RangeError, ShapeError

__all__ = ["ClassifierHead", "drop", "drop_per_image", "kaiming", "normal"]

_DROPOUT = 0.1
_LAST_DEVIATION = 0.01


class ClassifierHead(nn.Module):
    """Features (N, D) -> logits (N, K), through k hidden layers of width D; k = 0 is one linear layer.

    A hidden layer is linear -> ReLU -> BatchNorm -> dropout 0.1. Hidden weights start as Kaiming normal by fan-out,
    the last ones near 0: the public code's Kaiming normal by fan-out, N(0, 2 / K), gives random predictions, which
    a short training undoes first. Biases start at 0. (There, -log 99 for every class: a constant changes no softmax.)

    Args:
        num_features: D.
        num_classes: K.
        num_hidden: k.

    Raises:
        ConfigError: k is negative.

    Reference: arXiv 2203.12119, section 4.1 (Linear, MLP-k).
    """

    def __init__(self, num_features: int, num_classes: int, *, num_hidden: int = 0, generator: Generator) -> None:
        super().__init__()
        if num_hidden < 0:
            raise ConfigError(f"a head has 0 or more hidden layers, got {num_hidden}.")
        widths = [num_features] * num_hidden
        self.layers = nn.ModuleList(kaiming(num_features, width, generator=generator) for width in widths)
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths)
        self.last = normal(num_features, num_classes, _LAST_DEVIATION, generator=generator)

    def forward(self, features: Tensor, *, generator: Generator | None = None) -> Tensor:
        """Returns logits (N, K).

        Args:
            features: (N, D).
            generator: Draws the dropout of hidden layers in training mode.

        Raises:
            ConfigError: Dropout is on and there is no generator.
            ShapeError: One image alone in training mode, of which BatchNorm has no statistics.
        """
        if self.training and len(self.norms) and len(features) < 2:
            raise ShapeError("an MLP head is trained on batches of 2 images or more, got 1. Change the batch size.")
        for layer, norm in zip(self.layers, self.norms, strict=True):
            features = norm(F.relu(layer(features)))
            features = drop(features, _DROPOUT if self.training else 0.0, generator=generator)
        logits: Tensor = self.last(features)
        return logits


def kaiming(num_inputs: int, num_outputs: int, *, generator: Generator) -> nn.Linear:
    """Returns a linear layer with Kaiming-normal weights by fan-out, N(0, 2 / num_outputs), and biases of 0."""
    return normal(num_inputs, num_outputs, math.sqrt(2 / num_outputs), generator=generator)


def normal(num_inputs: int, num_outputs: int, deviation: float, *, generator: Generator) -> nn.Linear:
    """Returns a linear layer with weights N(0, deviation^2) and biases of 0."""
    linear: nn.Linear = nn.utils.skip_init(nn.Linear, num_inputs, num_outputs)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        linear.weight.copy_(torch.randn(linear.weight.shape, generator=generator) * deviation)
        linear.bias.zero_()
    return linear


def drop(values: Tensor, rate: float, *, generator: Generator | None) -> Tensor:
    """Returns the values with a share `rate` of them at 0 and the others scaled by 1 / (1 - rate).

    Args:
        values: Any shape.
        rate: In [0, 1), in steps of 2^-16; 0 returns the values as they are and draws nothing.
        generator: Of any device; masks differ from device to device.

    Raises:
        ConfigError: There is no generator.
        RangeError: The rate lies outside [0, 1).
    """
    if rate == 0:
        return values
    if not 0 < rate < 1:
        raise RangeError(f"dropout must lie in [0, 1), got {rate}.")
    if generator is None:
        raise ConfigError("dropout needs a generator in training mode: pass generator=, or call eval() first.")
    if generator.device != values.device:  # drawn there: large masks of each step would wait for the processor
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        generator = Generator(device=values.device).manual_seed(seed)
    # Four numbers of 16 bits from each draw, and no mask of bool: the same in a third of the time.
    draws = torch.randint(-(2**63), 2**63 - 1, (-(-values.numel() // 4),), generator=generator, device=values.device)
    numbers = draws.view(torch.int16)[: values.numel()].view(values.shape)
    mask = torch.empty(values.shape, dtype=values.dtype, device=values.device)
    least = min(round(rate * 2**16), 2**16 - 1) - 2**15
    return values * torch.ge(numbers, least, out=mask).div_(1 - rate)


def drop_per_image(prompts: Tensor, num_images: int, rate: float, *, generator: Generator | None) -> Tensor:
    """Prompts (1, R, D) -> the same, or at a rate above 0 with a mask of its own for each image, (N, R, D)."""
    return drop(prompts.expand(num_images if rate else 1, -1, -1), rate, generator=generator)
