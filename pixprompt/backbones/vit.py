"""A frozen vision transformer, seen from inside: embedding, layers, final norm, without a change to any of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from open_clip.timm_model import TimmModel
from open_clip.transformer import ResidualAttentionBlock
from open_clip.transformer import VisionTransformer as ClipTransformer
from timm.models.vision_transformer import Attention, Block, VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from ..core import ConfigError
from ..models import TorchModel

__all__ = ["Layer", "ViT"]


class Layer:
    """One pre-norm layer: x + scale1(attention(norm1(x))), then x + scale2(mlp(norm2(x))).

    Called, it runs the library's own forward. The parts are for methods that reach into it; composed as in the line
    above they give the same numbers within rounding.

    Args:
        module: The library's own.
        heads: Attention heads.
        norm1: Before attention.
        scale1: After attention; the identity where there is no layer scale.
        norm2: Before the MLP.
        mlp: Without norm and residual.
        scale2: After the MLP.
        qkv: (N, T, D) -> (N, T, 3 D).
        query_norm: Of each query, per head.
        key_norm: Of each key, per head.
        out: The output projection, (N, T, D) -> (N, T, D).
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        heads: int,
        norm1: nn.Module,
        scale1: nn.Module,
        norm2: nn.Module,
        mlp: nn.Module,
        scale2: nn.Module,
        qkv: Callable[[Tensor], Tensor],
        query_norm: nn.Module,
        key_norm: nn.Module,
        out: nn.Module,
    ) -> None:
        self.module, self.heads = module, heads
        self.norm1, self.scale1, self.norm2, self.mlp, self.scale2 = norm1, scale1, norm2, mlp, scale2
        self.qkv, self.query_norm, self.key_norm, self.out = qkv, query_norm, key_norm, out

    def __call__(self, tokens: Tensor) -> Tensor:
        """Tokens (N, T, D) -> (N, T, D)."""
        return self.module(tokens)  # type: ignore[no-any-return]

    def split(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Splits (N, T, 3 D) into queries, keys and values, each (N, heads, T, D / heads), normed where the layer is."""
        count, length, width = qkv.shape
        heads = qkv.reshape(count, length, 3, self.heads, width // 3 // self.heads).permute(2, 0, 3, 1, 4)
        queries, keys, values = heads.unbind(0)
        return self.query_norm(queries), self.key_norm(keys), values

    def join(self, heads: Tensor) -> Tensor:
        """Per-head results (N, heads, T, D / heads) -> (N, T, D), through the output projection."""
        return self.out(heads.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def attention(self, normed: Tensor) -> Tensor:
        """Self-attention of normed tokens (N, T, D), without norm, layer scale and residual."""
        return self.join(F.scaled_dot_product_attention(*self.split(self.qkv(normed))))


class ViT:
    """A view of a model's vision transformer; holds no copies.

    Args:
        model: A timm vision transformer, or an open_clip model with one as its image tower (its own or timm's).

    Attributes:
        model: As given.
        net: The transformer module, without the text side where there is one.
        width: D.
        layers: From the bottom to the top.
        grid: Patches (down, across).
        num_prefix: Tokens before the patches; CLS is the first.
        norm: The final norm.

    Raises:
        ConfigError: The model is no vision transformer, or one with parts that this view cannot follow.
    """

    def __init__(self, model: TorchModel) -> None:
        self.model = model
        net = _tower(model)
        self.net: nn.Module = net
        if isinstance(net, VisionTransformer):
            self._from_timm(net)
        elif isinstance(net, ClipTransformer):
            self._from_clip(net)
        else:
            raise ConfigError(
                f"{model.spec.name} is {type(net).__name__}, expected a vision transformer (timm's or open_clip's)."
            )

    @property
    def depth(self) -> int:
        """L, the number of layers."""
        return len(self.layers)

    def patches(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] -> patch embeddings (N, P, D), without position, of any H and W in patches."""
        return self.project(self.model.normalize(images)).flatten(2).transpose(1, 2)

    def place(self, patches: Tensor) -> Tensor:
        """Patch embeddings (N, P, D) -> tokens (N, num_prefix + P, D): prefix and position embedding, first norm."""
        return self._place(patches)

    def embed(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] -> tokens (N, num_prefix + P, D), before the first layer."""
        return self.place(self.patches(images))

    def _from_timm(self, net: VisionTransformer) -> None:
        layers = list(net.blocks)
        odd = [layer for layer in layers if not isinstance(layer, Block) or type(layer.attn) is not Attention]
        if odd or net.attn_pool is not None or net.num_prefix_tokens < 1 or net.dynamic_img_size:
            raise ConfigError(f"{self.model.spec.name} is a vision transformer of a kind that cannot be opened here.")
        self.project: nn.Module = net.patch_embed.proj
        self.width, self.num_prefix = int(net.embed_dim), int(net.num_prefix_tokens)
        self.grid: tuple[int, int] = tuple(net.patch_embed.grid_size)  # type: ignore[assignment]
        self.layers: Sequence[Layer] = [_timm_layer(layer) for layer in layers]
        self.norm: nn.Module = net.norm
        self.position: Tensor = net.pos_embed
        self._place = lambda patches: net.norm_pre(net._pos_embed(patches))

    def _from_clip(self, net: ClipTransformer) -> None:
        layers: list[Any] = list(net.transformer.resblocks)
        if net.attn_pool is not None or any(type(layer) is not ResidualAttentionBlock for layer in layers):
            raise ConfigError(f"{self.model.spec.name} is a vision transformer of a kind that cannot be opened here.")
        self.project = net.conv1
        self.width, self.num_prefix = int(net.conv1.out_channels), 1
        self.grid = tuple(net.grid_size)  # type: ignore[assignment]
        self.layers = [_clip_layer(layer) for layer in layers]
        self.norm = net.ln_post
        self.position = net.positional_embedding[None]

        def place(patches: Tensor) -> Tensor:
            first = net.class_embedding.expand(len(patches), 1, -1)
            return net.ln_pre(torch.cat([first, patches], 1) + net.positional_embedding)  # type: ignore[no-any-return]

        self._place = place


def _tower(model: TorchModel) -> nn.Module:
    net: Any = model.net
    visual = getattr(net, "visual", net)
    return visual.trunk if isinstance(visual, TimmModel) else visual  # type: ignore[no-any-return]


def _timm_layer(block: Any) -> Layer:
    attn = block.attn
    out = attn.proj if isinstance(attn.norm, nn.Identity) else nn.Sequential(attn.norm, attn.proj)
    if attn.gate is not None:
        raise ConfigError("gated attention cannot be opened here.")
    return Layer(
        block,
        heads=attn.num_heads,
        norm1=block.norm1,
        scale1=block.ls1,
        norm2=block.norm2,
        mlp=block.mlp,
        scale2=block.ls2,
        qkv=attn.qkv,
        query_norm=attn.q_norm,
        key_norm=attn.k_norm,
        out=out,
    )


def _clip_layer(block: Any) -> Layer:
    attn = block.attn
    return Layer(
        block,
        heads=attn.num_heads,
        norm1=block.ln_1,
        scale1=block.ls_1,
        norm2=block.ln_2,
        mlp=block.mlp,
        scale2=block.ls_2,
        qkv=lambda normed: F.linear(normed, attn.in_proj_weight, attn.in_proj_bias),
        query_norm=nn.Identity(),
        key_norm=nn.Identity(),
        out=attn.out_proj,
    )
