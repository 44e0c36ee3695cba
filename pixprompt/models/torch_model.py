"""A torch net with its normalisation as a model, which checks the range and shape of what goes in and comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Self, cast

import torch
from torch import Tensor, nn

from ..core import Access, AccessError, ConfigError, Model, ModelSpec
from ..tensor_checks import check_images, check_outputs
from .folding.first_token import FirstToken
from .folding.fold import fold
from .frozen import frozen

__all__ = ["TorchModel", "local_net"]


class TorchModel(nn.Module):
    """A net with its normalisation: images (N, 3, H, W) in [0, 1] -> outputs (N, S), float32 and finite.

    Args:
        net: Takes normalised images and returns (N, S).
        mean: Of the net's own normalisation, per channel, in [0, 1] units.
        std: Of the same, per channel.
        access: What the net lets a caller do.
        owned: True for a net that was loaded for this model: it is frozen for good, its 2-D convolutions work on
            channels-last memory, and a folded copy answers, which is faster. False for the net of a caller: it is
            frozen during each call only.
    """

    mean: Tensor
    std: Tensor
    probe_queries: int = 0
    """Queries that were sent to somebody else's code, which may charge for them, while the model was made."""

    def __init__(
        self,
        net: nn.Module,
        spec: ModelSpec,
        *,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        access: Access = Access.INTERNALS,
        owned: bool = False,
    ) -> None:
        super().__init__()
        self.net = _settled(net) if owned else net
        self.spec = spec
        self.access = access
        self.owned = owned
        self.training = not owned
        self._folded: tuple[nn.Module, ...] = ()  # no child: it shares the weights of the net, which has them all
        place = next((parameter.device for parameter in net.parameters()), torch.device("cpu"))
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32, device=place), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32, device=place), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Answers images; gradients flow to them where `access` says so.

        Args:
            images: (N, 3, H, W), values in [0, 1].

        Returns:
            Outputs (N, S), float32.

        Raises:
            ModelError: The net answers something else than finite (N, S).
            RangeError: Values lie outside [0, 1].
            ShapeError: The images have another size.
        """
        check_images(images, self.spec.image_size)
        return self.answer(self.normalize(images))

    def held(self) -> AbstractContextManager[object]:
        """Holds the net of a caller in evaluation mode and frozen, within; a net that is frozen for good needs nothing.

        All calls of parts of the net belong inside.
        """
        return nullcontext() if self.owned else frozen(self.net)

    def normalize(self, images: Tensor) -> Tensor:
        """Returns (images - mean) / std per channel, in the net's precision, without any check."""
        return (images.to(self.mean.dtype) - self.mean[:, None, None]) / self.std[:, None, None]

    def prepare(self, images: Tensor) -> Tensor:
        """Returns what `normalize` does, in the memory order that the net's convolutions work on."""
        return self._ordered(self.normalize(images))

    def answer(self, normalized: Tensor) -> Tensor:
        """Answers images that are normalised already, of any range, and checks the outputs as `forward` does."""
        with self.held():
            outputs = self._run(self._fastest(), self._ordered(normalized))
        return check_outputs(outputs, len(normalized), self.spec.num_outputs, self.spec.name)

    def unclamped(self, images: Tensor) -> Tensor:
        """Answers images that may leave [0, 1], which no image file can: for the VP paper's own prompts."""
        return self.answer(self.normalize(images))

    def compile_layers(self) -> None:
        """Has torch compile the layers of a transformer when they first run: slow to start, faster then on a GPU.

        Raises:
            ConfigError: The net has no such layers, or torch cannot compile here.
        """
        layers = [
            part for part in self._fastest().modules() if isinstance(part, FirstToken) or FirstToken.is_layer(part)
        ]
        if not layers:
            raise ConfigError(f"--compile serves vision transformers, and {self.spec.name} is none; leave it out.")
        try:
            torch.compile(torch.sin)(self.mean)
        except Exception as error:  # whatever its compilers raise
            reason = " ".join(str(error).split())[:200]
            raise ConfigError(f"torch cannot compile here ({reason}); leave out --compile.") from error
        for layer in layers:
            layer.compile()

    def _ordered(self, normalized: Tensor) -> Tensor:
        return normalized.contiguous(memory_format=torch.channels_last) if self.owned else normalized

    def _run(self, net: nn.Module, normalized: Tensor) -> object:
        return net(normalized)

    def _fastest(self) -> nn.Module:
        """Returns the net, or its folded copy unless a hook looks into the net."""
        has_hooks = any(module._forward_hooks or module._forward_pre_hooks for module in self.net.modules())
        if not self.owned or has_hooks or self.mean.is_meta:
            return self.net
        if not self._folded:
            self._folded = (fold(self.net, self._run, self.spec.image_size),)
        return self._folded[0]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._folded = ()
        return cast(Self, super()._apply(fn, recurse))  # type: ignore[no-untyped-call]


def _settled(net: nn.Module) -> nn.Module:
    net.eval().requires_grad_(False).float()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    return net


def local_net(model: Model, purpose: str) -> TorchModel:
    """Returns a model that is a net in this process.

    Args:
        model: Any.

    Raises:
        AccessError: It is none.
    """
    if isinstance(model, TorchModel):
        return model
    raise AccessError(f"{purpose} needs a local torch model, and {model.spec.name} only answers. Use one of a library.")
