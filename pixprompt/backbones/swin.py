"""A frozen Swin transformer in parts: embedding, stages of windowed blocks, merging, final norm."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core import ConfigError
from ..models import TorchModel
from .origin import comes_from

__all__ = ["Merging", "Swin", "SwinBlock", "SwinStage"]


class SwinBlock:
    """One pre-norm block: x + join(mix(qkv(split(norm1(x))))), then x + mlp(norm2(x)).

    Called, it runs the library's own forward; its parts, composed as above, give the same results within rounding.

    Attributes:
        heads: Attention heads.
        norm1: Before attention.
        qkv: (..., T, D) -> (..., T, 3 heads d), one projection for queries, keys and values.
        out: The output projection, (..., T, heads d) -> (..., T, D).
        norm2: Before the MLP.
        mlp: Without norm and residual.
        window: (height, width) in tokens; A is their product.
        shift: By which the grid is rolled before it is cut into windows, (down, across).
        num_windows: Of one image, W.
    """

    def __init__(self, module: Any) -> None:
        self.module, self._attention = module, module.attn
        self.heads: int = module.attn.num_heads
        self.norm1: nn.Module = module.norm1
        self.qkv: nn.Module = module.attn.qkv
        self.out: nn.Module = module.attn.proj
        self.norm2: nn.Module = module.norm2
        self.mlp: nn.Module = module.mlp
        self.window: tuple[int, int] = tuple(module.window_size)
        self.shift: tuple[int, int] = tuple(module.shift_size)
        self.size: tuple[int, int] = tuple(module.input_resolution)
        self._grid = (-(-self.size[0] // self.window[0]), -(-self.size[1] // self.window[1]))
        self.num_windows = self._grid[0] * self._grid[1]

    def __call__(self, tokens: Tensor) -> Tensor:
        """Tokens (N, H, W, D) -> (N, H, W, D)."""
        return cast(Tensor, self.module(tokens))

    def bias(self) -> Tensor:
        """Returns what attention adds to its logits, (num_windows, heads, A, A): relative bias and shift mask."""
        area = self.window[0] * self.window[1]
        places = self._attention.relative_position_index.flatten()
        bias: Tensor = self._attention.relative_position_bias_table[places].view(area, area, -1).permute(2, 0, 1)
        mask: Tensor | None = self.module.attn_mask
        return bias.expand(self.num_windows, -1, -1, -1) if mask is None else bias + mask.unsqueeze(1)

    def split(self, normed: Tensor) -> Tensor:
        """Normed tokens (N, H, W, D) -> windows (N, num_windows, A, D), shifted, filled up with zeros at the edges."""
        if any(self.shift):
            normed = torch.roll(normed, (-self.shift[0], -self.shift[1]), (1, 2))
        padding = [rows * window - side for rows, window, side in zip(self._grid, self.window, self.size, strict=True)]
        if any(padding):
            normed = F.pad(normed, (0, 0, 0, padding[1], 0, padding[0]))
        (down, across), (high, wide) = self._grid, self.window
        windows = normed.reshape(len(normed), down, high, across, wide, -1).transpose(2, 3)
        return windows.reshape(len(normed), self.num_windows, high * wide, -1)

    def join(self, windows: Tensor) -> Tensor:
        """Windows (N, num_windows, A, D) -> tokens (N, H, W, D): the way back from `split`."""
        (down, across), (high, wide) = self._grid, self.window
        whole = windows.reshape(len(windows), down, across, high, wide, -1).transpose(2, 3)
        tokens = whole.reshape(len(windows), down * high, across * wide, -1)[:, : self.size[0], : self.size[1]]
        return torch.roll(tokens, self.shift, (1, 2)) if any(self.shift) else tokens

    def per_head(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Splits (..., T, 3 heads d) into queries, keys and values, each (..., heads, T, d)."""
        length = qkv.shape[-1] // (3 * self.heads)
        queries, keys, values = qkv.view(*qkv.shape[:-1], 3, self.heads, length).transpose(-4, -2).unbind(-3)
        return queries, keys, values

    def mix(self, qkv: Tensor) -> Tensor:
        """What `qkv` made of windows, (N, num_windows, A, 3 D) -> attention inside each window, projected."""
        # Windows stand beside heads, so that one bias serves all images without a copy for each.
        queries, keys, values = (part.flatten(1, 2) for part in self.per_head(qkv))
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=self.bias().flatten(0, 1).unsqueeze(0))
        by_window = mixed.view(len(qkv), self.num_windows, self.heads, *mixed.shape[2:])
        return cast(Tensor, self.out(by_window.transpose(-3, -2).flatten(-2)))


class Merging:
    """What leads into a stage: groups of 2 x 2 tokens become one, of twice the width."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def __call__(self, tokens: Tensor) -> Tensor:
        """Tokens (N, H, W, D) -> (N, H / 2, W / 2, 2 D)."""
        return cast(Tensor, self.module(tokens))

    def single(self, tokens: Tensor) -> Tensor:
        """Tokens without neighbours (N, T, D) -> (N, T, 2 D): each stands at all four places of its own group."""
        return cast(Tensor, self.module.reduction(self.module.norm(tokens.repeat(1, 1, 4))))


class SwinStage:
    """Blocks of one resolution.

    Attributes:
        merge: Leads into the stage; None for the first.
        blocks: From the bottom to the top.
        width: D of its tokens.
    """

    def __init__(self, module: Any) -> None:
        self.merge = None if isinstance(module.downsample, nn.Identity) else Merging(module.downsample)
        self.blocks: Sequence[SwinBlock] = [SwinBlock(block) for block in module.blocks]
        self.width = int(module.blocks[0].dim)

    def enter(self, tokens: Tensor) -> Tensor:
        """Leads tokens of the stage below to the first block."""
        return tokens if self.merge is None else self.merge(tokens)

    def __call__(self, tokens: Tensor) -> Tensor:
        """Runs the whole stage."""
        tokens = self.enter(tokens)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens


class Swin:
    """A view of a model's Swin transformer (version 1); holds no copies.

    Args:
        model: A timm Swin transformer.

    Attributes:
        net: The transformer module.
        stages: From the bottom to the top.
        width: Of the features, D of the last stage.
        patch: (height, width) of a patch in pixels.
        num_patches: Tokens of the first stage.
        project: Normalised images (N, 3, H, W) -> tokens (N, H / patch, W / patch, D).
        norm: The final norm.

    Raises:
        ConfigError: The model is no such transformer, or was made for images of any size.

    Reference: arXiv 2103.14030, section 3.
    """

    def __init__(self, model: TorchModel) -> None:
        net: Any = model.net
        if not _is_plain(net):
            raise ConfigError(
                f"{model.spec.name} is {type(net).__name__}; expected timm's SwinTransformer (version 1) with "
                "its own blocks, made for one image size. Choose another model or another method."
            )
        self.model = model
        self.net: nn.Module = net
        self.stages: Sequence[SwinStage] = [SwinStage(stage) for stage in net.layers]
        self.width = self.stages[-1].width
        self.patch: tuple[int, int] = tuple(net.patch_embed.patch_size)
        self.num_patches = int(net.patch_embed.num_patches)
        self.project: nn.Module = net.patch_embed
        self.norm: nn.Module = net.norm

    @property
    def depth(self) -> int:
        """The number of blocks of all stages."""
        return sum(len(stage.blocks) for stage in self.stages)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)(copy.deepcopy(self.model, memo))

    def parameters(self) -> list[nn.Parameter]:
        """Returns the parameters on the way from the images to the final norm, without the model's own classifier."""
        layers: Any = self.net.layers
        return [*self.project.parameters(), *layers.parameters(), *self.norm.parameters()]

    def embed(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] -> tokens (N, H / patch, W / patch, D), before the first block."""
        return cast(Tensor, self.project(self.model.normalize(images)))

    def features(self, tokens: Tensor) -> Tensor:
        """Tokens of `embed` -> what the model's own classifier sees, (N, width): the mean of the normed tokens."""
        for stage in self.stages:
            tokens = stage(tokens)
        return self.pool(tokens)

    def pool(self, tokens: Tensor) -> Tensor:
        """Tokens behind the last stage (N, H, W, D) -> what the model's own classifier sees, (N, width)."""
        return cast(Tensor, self.norm(tokens)).mean((1, 2))


def _is_plain(net: Any) -> bool:
    if not comes_from(net, "timm"):
        return False
    from timm.models.swin_transformer import SwinTransformer, SwinTransformerBlock

    if not isinstance(net, SwinTransformer) or not net.patch_embed.strict_img_size:
        return False
    stages: Any = net.layers
    return all(type(block) is SwinTransformerBlock for stage in stages for block in stage.blocks)
