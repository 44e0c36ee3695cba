"""One layer of a frozen vision transformer: whole, and in parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Layer"]


class Layer:
    """One pre-norm layer: x + scale1(attention(norm1(x))), then x + scale2(mlp(norm2(x))).

    Called, it runs the library's own forward; its parts, composed as above, give the same results within rounding.

    Args:
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
        out: Callable[[Tensor], Tensor],
    ) -> None:
        self.module, self.heads = module, heads
        self.norm1, self.scale1, self.norm2, self.mlp, self.scale2 = norm1, scale1, norm2, mlp, scale2
        self.qkv, self.query_norm, self.key_norm, self.out = qkv, query_norm, key_norm, out

    def __call__(self, tokens: Tensor) -> Tensor:
        """Tokens (N, T, D) -> (N, T, D)."""
        return cast(Tensor, self.module(tokens))

    def split(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Splits (N, T, 3 D) into queries, keys and values, (N, heads, T, D / heads), normed where the layer is."""
        count, length, width = qkv.shape
        heads = qkv.reshape(count, length, 3, self.heads, width // 3 // self.heads).permute(2, 0, 3, 1, 4)
        queries, keys, values = heads.unbind(0)
        return self.query_norm(queries), self.key_norm(keys), values

    def join(self, heads: Tensor) -> Tensor:
        """Per-head results (N, heads, T, D / heads) -> (N, T, D), through the output projection."""
        return self.out(heads.transpose(1, 2).flatten(2))

    def attention(self, normed: Tensor) -> Tensor:
        """Self-attention of normed tokens (N, T, D), without norm, layer scale and residual."""
        return self.join(F.scaled_dot_product_attention(*self.split(self.qkv(normed))))
