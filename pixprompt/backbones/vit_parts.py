"""The parts of a vision transformer, for the classes of timm and of open_clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layer import Layer

__all__ = ["ViTParts", "open_clip_parts", "timm_parts"]


@dataclass(frozen=True)
class ViTParts:
    """The parts of a vision transformer; see `ViT` for those that it shows.

    Attributes:
        net: The transformer module.
        layers: From the bottom to the top.
        width: D.
        grid: Patches (down, across).
        num_prefix: Tokens before the patches; CLS is the first.
        project: The patch convolution.
        position: (1, T, D) or (T, D); T counts the prefix, or only the patches where the prefix has no position.
        embeddings: The parameters of prefix and position.
        norm_pre: Before the first layer.
        norm: After the last.
        place: Patch embeddings (N, P, D) -> tokens before the first layer.
    """

    net: nn.Module
    layers: Sequence[Layer]
    width: int
    grid: tuple[int, int]
    num_prefix: int
    project: nn.Module
    position: nn.Parameter
    embeddings: tuple[nn.Parameter, ...]
    norm_pre: nn.Module
    norm: nn.Module
    place: Callable[[Tensor], Tensor]


def timm_parts(net: nn.Module) -> ViTParts | None:
    """Returns the parts of a timm vision transformer; None of another module, or one with parts of another kind."""
    from timm.layers.attention import Attention
    from timm.layers.patch_embed import PatchEmbed
    from timm.models.vision_transformer import Block, VisionTransformer

    if not isinstance(net, VisionTransformer):
        return None
    vit: Any = net
    blocks: list[Any] = list(vit.blocks)
    is_standard = (
        all(
            type(block) is Block and type(block.attn) is Attention and getattr(block.attn, "gate", None) is None
            for block in blocks
        )
        and type(vit.patch_embed) is PatchEmbed
        and isinstance(vit.patch_embed.norm, nn.Identity)
        and not (vit.dynamic_img_size or vit.patch_embed.dynamic_img_pad)
        and not (vit.cls_token is None or vit.pos_embed is None)
        and vit.attn_pool is None
    )
    if not is_standard:
        return None
    down, across = vit.patch_embed.grid_size
    return ViTParts(
        net=net,
        layers=[_timm_layer(block) for block in blocks],
        width=vit.embed_dim,
        grid=(down, across),
        num_prefix=vit.num_prefix_tokens,
        project=vit.patch_embed.proj,
        position=vit.pos_embed,
        embeddings=tuple(net.parameters(recurse=False)),
        norm_pre=vit.norm_pre,
        # A net that pools patches has its norm after the pooling; on one token both are the same.
        norm=vit.fc_norm if isinstance(vit.norm, nn.Identity) else vit.norm,
        place=lambda patches: cast(Tensor, vit.norm_pre(vit._pos_embed(patches))),
    )


def open_clip_parts(net: nn.Module) -> ViTParts | None:
    """Returns the parts of an open_clip image tower; None of another module, or one with parts of another kind."""
    from open_clip.timm_model import TimmModel
    from open_clip.transformer import ResidualAttentionBlock, VisionTransformer

    if isinstance(net, TimmModel):
        return timm_parts(net.trunk)
    if not isinstance(net, VisionTransformer):
        return None
    vit: Any = net
    blocks: list[Any] = list(vit.transformer.resblocks)
    if vit.attn_pool is not None or any(type(block) is not ResidualAttentionBlock for block in blocks):
        return None

    def place(patches: Tensor) -> Tensor:
        first = vit.class_embedding.expand(len(patches), 1, -1).to(patches.dtype)
        return cast(Tensor, vit.ln_pre(torch.cat([first, patches], 1) + vit.positional_embedding.to(patches.dtype)))

    down, across = vit.grid_size
    return ViTParts(
        net=net,
        layers=[_clip_layer(block) for block in blocks],
        width=vit.conv1.out_channels,
        grid=(down, across),
        num_prefix=1,
        project=vit.conv1,
        position=vit.positional_embedding,
        embeddings=(vit.class_embedding, vit.positional_embedding),
        norm_pre=vit.ln_pre,
        norm=vit.ln_post,
        place=place,
    )


def _timm_layer(block: Any) -> Layer:
    attn = block.attn
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
        out=lambda joined: cast(Tensor, attn.proj(attn.norm(joined))),
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
