"""The last layer of a transformer of which only the first token is read: no other token is computed."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from .layers import FrozenAttention

__all__ = ["FirstToken"]

_LAYERS = {"ResidualAttentionBlock": ("ln_1", "ls_1", "ln_2", "mlp", "ls_2"), "Block": ("norm1", "ls1", "norm2", "mlp",
           "ls2")}  # fmt: skip
"""Pre-norm layers of open_clip and timm -> their parts beside `attn`."""


class FirstToken(nn.Module):
    """A pre-norm layer for its first token.

    Args:
        layer: Of `FirstToken.fits`.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        names = _LAYERS[type(layer).__name__]
        self.norm1, self.scale1, self.norm2, self.mlp, self.scale2 = (getattr(layer, name) for name in names)
        own: Any = layer.attn
        is_clip = isinstance(own, FrozenAttention)
        self.heads, self.out = (own.heads, own.out) if is_clip else (own.num_heads, own.proj)
        self.weight, self.bias = (own.weight, own.bias) if is_clip else (own.qkv.weight, own.qkv.bias)

    @staticmethod
    def is_layer(module: nn.Module) -> bool:
        """Whether a module is a layer of a known form."""
        names = _LAYERS.get(type(module).__name__)
        return names is not None and {"attn", *names} <= {name for name, _ in module.named_children()}

    @staticmethod
    def fits(layer: nn.Module) -> bool:
        """Whether there is nothing in the attention of a layer besides queries, keys and values."""
        own: Any = layer.attn
        if isinstance(own, FrozenAttention):
            return own.batch_first and getattr(layer, "ln_1_kv", None) is None
        parts = [getattr(own, name, None) for name in ("q_norm", "k_norm", "norm")]
        return (
            type(own).__name__ == "Attention"
            and getattr(own, "gate", None) is None
            and all(type(each) is nn.Identity for each in parts)
        )

    def forward(self, tokens: Tensor, **_: object) -> Tensor:
        """Tokens (N, T, D) -> (N, 1, D)."""
        normed, (count, length, width) = self.norm1(tokens), tokens.shape
        bias = (None, None) if self.bias is None else (self.bias[:width], self.bias[width:])
        queries = F.linear(normed[:, :1], self.weight[:width], bias[0]).view(count, 1, 1, self.heads, -1)
        others = F.linear(normed, self.weight[width:], bias[1]).view(count, length, 2, self.heads, -1)
        rows = (*queries.permute(2, 0, 3, 1, 4), *others.permute(2, 0, 3, 1, 4))
        mixed = F.scaled_dot_product_attention(*rows).transpose(1, 2).flatten(2)
        first = tokens[:, :1] + self.scale1(self.out(mixed))
        leaving: Tensor = first + self.scale2(self.mlp(self.norm2(first)))
        return leaving
