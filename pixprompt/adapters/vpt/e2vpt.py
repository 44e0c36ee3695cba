"""E²VPT: prompts among the tokens and among the keys and values of every layer; the least important are pruned."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Generator, Tensor, nn

from ...backbones import ViT
from ...core import RangeError
from ...models import TorchModel
from .layers import step
from .locations import PrependedPrompts
from .options import VPTOptions
from .prompts import uniform
from .vit import ViTVPT

__all__ = ["E2VPT"]

_LEAST_TOKENS, _LEAST_SEGMENTS = 1, 4


class E2VPT(ViTVPT):
    """VPT-deep whose layers have prompts among their keys and values, too: K' = [K, P], V' = [V, P] for each head.

    With shares to prune it is trained twice. After the first training whole tokens are left out, then segments of those
    that remain, the same at every layer: those on whose masks the loss depends least, by the mean of |dL/dmask| over
    batches of the training images. Then everything that is learned goes back to its start and is trained again.

    The public code tries shares of 10% to 90% and keeps what validates best. Its segments of a token take every 16th
    channel; here they are neighbours, as the paper draws them.

    Args:
        tokens: Prompts among the tokens of each layer.
        key_values: Prompts among the keys and values of each layer.
        separate: Keys and values have prompts of their own instead of the same.
        dropout: Share of the values of prompts among the tokens that is dropped in training.
        prune_tokens: Share of the tokens that is pruned, in [0, 1); one remains.
        prune_segments: Share of the segments of a token, in [0, 1); four remain.
        segments: In which a token is divided.

    Raises:
        ConfigError: The model is no vision transformer.
        RangeError: A share lies outside [0, 1), or a number is too small or too large.

    Reference: arXiv 2307.13770, sections 3.2 and 3.3.
    """

    prompts: _KeyValuePrompts

    def __init__(
        self,
        model: TorchModel,
        classes: tuple[str, ...],
        *,
        tokens: int = 5,
        key_values: int = 5,
        separate: bool = False,
        dropout: float = 0.0,
        prune_tokens: float = 0.0,
        prune_segments: float = 0.0,
        segments: int = 16,
        generator: Generator,
    ) -> None:
        if not (0 <= prune_tokens < 1 and 0 <= prune_segments < 1):
            raise RangeError(f"a share to prune lies in [0, 1), got {prune_tokens} and {prune_segments}.")
        options = VPTOptions(tokens=tokens, depth=ViT(model).depth, dropout=dropout)
        if min(tokens, key_values) < 1 or not 1 <= segments <= ViT(model).width:
            raise RangeError(
                f"expected 1 or more tokens, key-value prompts and segments, and no more segments than channels; got "
                f"{tokens}, {key_values}, {segments}."
            )
        self.shares = (prune_tokens, prune_segments)
        super().__init__(model, classes, options, generator=generator)
        self.prompts.add(key_values, separate, segments, generator=generator)

    def located(self, generator: Generator) -> _KeyValuePrompts:
        """See `ViTVPT`."""
        return _KeyValuePrompts(self.view, self.options, generator=generator)

    @property
    def pruned(self) -> nn.Parameter | None:  # type: ignore[override]
        """See `WhiteBox`."""
        return self.prompts.sets.tokens if any(self.shares) else None

    @property
    def num_tuned(self) -> int:
        """Learned parameters without what is pruned."""
        channels = self.prompts.channels()
        return super().num_tuned - len(self.prompts.sets.tokens) * int((channels == 0).sum())

    @torch.no_grad()
    def prune(self, gradients: Iterable[Tensor]) -> None:
        """See `WhiteBox`."""
        prompts, mask = self.prompts, self.prompts.mask
        count, segments = mask.shape
        scores = torch.zeros_like(mask)
        whole = torch.zeros_like(mask[:, 0])
        for gradient in gradients:
            each = (prompts.sets.tokens * gradient).sum(0)  # dL/dmask of each channel where the mask is 1
            by_segment = torch.zeros_like(mask).index_add_(1, prompts.segment, each)
            scores += by_segment.abs()
            whole += by_segment.sum(1).abs()
        tokens, pieces = (int(share * size) for share, size in zip(self.shares, mask.shape, strict=True))
        mask.scatter_(1, scores.argsort(1)[:, : min(pieces, max(0, segments - _LEAST_SEGMENTS))], 0.0)
        mask[whole.argsort()[: min(tokens, count - _LEAST_TOKENS)]] = 0


class _KeyValuePrompts(PrependedPrompts):
    mask: Tensor
    segment: Tensor

    def add(self, count: int, separate: bool, segments: int, *, generator: Generator) -> None:
        """Makes the prompts among keys and values, Kaiming uniform as in the public code, and the others' mask."""
        view, heads = self.view, self.view.layers[0].heads
        width = view.width // heads
        shape = (view.depth, 2 if separate else 1, heads, count, width)
        self.pairs = uniform(*shape, bound=math.sqrt(6 / (count * width)), generator=generator)
        self.register_buffer("mask", torch.ones(self.num_tokens, segments))
        # The segment of each channel; neighbours where the width is no multiple, too.
        self.register_buffer("segment", torch.arange(view.width) * segments // view.width, persistent=False)

    def channels(self) -> Tensor:
        """Returns the mask of every channel, (p, D)."""
        return self.mask[:, self.segment]

    def prompted(self, index: int, tokens: Tensor, prompts: Tensor) -> Tensor:
        """See `PrependedPrompts`."""
        pairs = self.pairs[index]
        return step(
            self.view.layers[index],
            tokens,
            prompts * self.channels(),
            rows=self.rows_of(index),
            pairs=(pairs[0], pairs[-1]),
        )
