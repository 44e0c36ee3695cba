"""A frozen vision transformer in parts: embedding, layers, final norm."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self, cast

from torch import Tensor, nn

from ..core import ConfigError
from ..models import DualEncoder, TorchModel
from .layer import Layer
from .origin import comes_from
from .vit_parts import ViTParts, open_clip_parts, timm_parts

__all__ = ["Layer", "ViT"]


class ViT:
    """A view of a model's vision transformer; holds no copies.

    Args:
        model: A timm vision transformer, or an open_clip model with one as its image tower (its own or timm's).

    Attributes:
        net: The transformer module, without the text side where there is one.
        width: D.
        layers: From the bottom to the top.
        grid: Patches (down, across); P is their product.
        num_prefix: Tokens before the patches; CLS is the first.
        project: The patch convolution, (N, 3, H, W) normalised -> (N, D, down, across).
        norm_pre: Before the first layer; the identity in most.
        norm: The final norm.

    Raises:
        ConfigError: The model is no vision transformer, or one with parts that this view cannot follow.
    """

    def __init__(self, model: TorchModel) -> None:
        parts = _parts_of(model)
        self.model, self.net = model, parts.net
        self.layers: Sequence[Layer] = parts.layers
        self.width, self.grid, self.num_prefix = parts.width, parts.grid, parts.num_prefix
        self.project, self._position = parts.project, parts.position
        self.norm_pre, self.norm = parts.norm_pre, parts.norm
        self._place, self._embeddings = parts.place, parts.embeddings

    @property
    def depth(self) -> int:
        """L, the number of layers."""
        return len(self.layers)

    @property
    def position(self) -> Tensor:
        """The position embedding, (1, num_prefix + P, D), or (1, P, D) where the prefix has none."""
        return self._position.view(1, -1, self.width)

    @property
    def patch_size(self) -> tuple[int, int]:
        """(height, width) of a patch in pixels."""
        height, width = cast(nn.Conv2d, self.project).kernel_size
        return height, width

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)(copy.deepcopy(self.model, memo))

    def parameters(self) -> list[nn.Parameter]:
        """Returns the parameters on the way from the images to the final norm: neither classifier nor text side."""
        modules = [self.project, self.norm_pre, *(layer.module for layer in self.layers), self.norm]
        return [*self._embeddings, *(value for module in modules for value in module.parameters())]

    def patches(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] -> patch embeddings (N, P, D), without position, of any H and W in patches."""
        return cast(Tensor, self.project(self.model.normalize(images))).flatten(2).transpose(1, 2)

    def place(self, patches: Tensor) -> Tensor:
        """Patch embeddings (N, P, D) -> tokens (N, num_prefix + P, D): prefix and position embedding, first norm."""
        return self._place(patches)

    def embed(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] -> tokens (N, num_prefix + P, D), before the first layer."""
        return self.place(self.patches(images))


def _parts_of(model: TorchModel) -> ViTParts:
    net: Any = model.net.visual if isinstance(model, DualEncoder) else model.net
    parts = None
    if comes_from(net, "timm"):
        parts = timm_parts(net)
    elif comes_from(net, "open_clip"):
        parts = open_clip_parts(net)
    if parts is None:
        raise ConfigError(
            f"{model.spec.name} is {type(net).__name__}; expected a vision transformer of timm or open_clip with a "
            "CLS token, learned positions, and plain pre-norm layers. Choose another model or another method."
        )
    return parts
