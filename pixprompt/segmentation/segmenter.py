"""A frozen vision transformer with prompts, or another small change, and a SETR-PUP head."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from ..adapters.vpt.prompts import prompt_bound, uniform
from ..backbones import ViT
from ..core import ConfigError
from ..models import TorchModel
from .backbone import open_vit, tunable_copy
from .pup import UpHead

__all__ = ["Design", "Segmenter"]

_AUXILIARY_AT = (10 / 24, 15 / 24, 20 / 24)
"""After which share of the layers SETR's auxiliary heads read."""


@dataclass(frozen=True)
class Design:
    """What a segmenter is built of, beside its backbone.

    Attributes:
        num_classes: K.
        crop: (height, width) of its images, in pixels.
        method: A name of `config.METHODS`.
        tokens: Prompt tokens per layer.
        channels: Of the head.
        auxiliary: Whether there are auxiliary heads for training.
    """

    num_classes: int
    crop: tuple[int, int]
    method: str = "vpt-deep"
    tokens: int = 10
    channels: int = 256
    auxiliary: bool = False


class Segmenter(nn.Module):
    """Images (N, 3, H, W) of the crop's size, in [0, 1] -> logits (N, K, H, W).

    Prompts come after the position embedding and have none of their own; in `vpt-deep` each layer takes away those of
    the layer before. Only what is learned is a parameter here; the model that is given is never changed, since
    everything runs on a copy that shares its memory. The head reads the last layer's patch tokens before the final
    norm, as SETR does.

    Args:
        model: With a vision transformer.
        design: What is learned.

    Raises:
        AccessError: The model cannot be reached into.
        ConfigError: It is no vision transformer, or the crop is not made of whole patches.

    Reference:
        arXiv 2203.12119, section 3.2 and its experiment on ADE20K.
    """

    def __init__(self, model: TorchModel, design: Design, *, generator: Generator) -> None:
        super().__init__()
        view = open_vit(model)
        (height, width), (tall, wide) = view.patch_size, design.crop
        if tall % height or wide % width:
            raise ConfigError(
                f"a crop of {tall}x{wide} pixels is not made of whole patches of {height}x{width}; change --crop."
            )
        self.design, self.grid = design, (tall // height, wide // width)
        self.num_backbone = sum(value.numel() for value in view.parameters())
        backbone, tuned = tunable_copy(view, self.grid, lambda name: _is_tuned(name, design.method))
        # In a tuple, so that the backbone is no submodule: its weights are no state of this segmenter.
        self._backbone = (backbone,)
        self.inner = nn.ParameterDict({name.replace(".", "/"): value for name, value in tuned.items()})
        sets = {"vpt-shallow": 1, "vpt-deep": backbone.depth}.get(design.method, 0)
        if sets and design.tokens:
            bound = prompt_bound(view.patch_size, backbone.width)
            self.inner["prompts"] = uniform(sets, design.tokens, backbone.width, bound=bound, generator=generator)
        self.head = UpHead(backbone.width, design.channels, design.num_classes, generator=generator)
        self._read = [round(share * backbone.depth) - 1 for share in _AUXILIARY_AT] if design.auxiliary else []
        self.auxiliary = nn.ModuleList(
            UpHead(backbone.width, design.channels, design.num_classes, stages=2, factor=4, generator=generator)
            for _ in self._read
        )
        self.to(model.mean.device)

    @property
    def backbone(self) -> ViT:
        """The frozen transformer, with the tuned tensors in it."""
        return self._backbone[0]

    @property
    def fill(self) -> tuple[int, int, int]:
        """RGB, 0..255, of places outside an image: the model's mean."""
        red, green, blue = (round(255 * value) for value in self.backbone.model.mean.tolist())
        return red, green, blue

    @property
    def num_head(self) -> int:
        """Parameters of the head, without auxiliary heads."""
        return sum(value.numel() for value in self.head.parameters())

    @property
    def num_inner(self) -> int:
        """Learned parameters before the head: prompts, or tensors of the backbone."""
        return sum(value.numel() for value in self.inner.parameters())

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits (N, K, H, W)."""
        return self._logits(self.head, self.patch_tokens(images)[-1])

    def with_auxiliary(self, images: Tensor) -> list[Tensor]:
        """Returns the logits of the head, then those of the auxiliary heads, each (N, K, H, W)."""
        states = self.patch_tokens(images)
        read = [self._logits(head, states[max(0, at)]) for head, at in zip(self.auxiliary, self._read, strict=True)]
        return [self._logits(self.head, states[-1]), *read]

    def patch_tokens(self, images: Tensor) -> list[Tensor]:
        """Patch tokens (N, P, D) after each layer."""
        backbone = self.backbone
        prompts = self.inner.get("prompts")
        num_patches, states = self.grid[0] * self.grid[1], []
        tokens = backbone.embed(images)
        for index, layer in enumerate(backbone.layers):
            if prompts is not None and index < len(prompts):
                added = prompts[index].expand(len(tokens), -1, -1)
                tokens = torch.cat([tokens[:, : backbone.num_prefix], added, tokens[:, -num_patches:]], 1)
            tokens = layer(tokens)
            states.append(tokens[:, -num_patches:])
        return states

    def _logits(self, head: nn.Module, patches: Tensor) -> Tensor:
        logits: Tensor = head(patches, self.grid, self.design.crop)
        return logits


def _is_tuned(name: str, method: str) -> bool:
    return method == "full" or (method == "bias" and name.endswith("bias"))
