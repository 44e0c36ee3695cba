"""Models with an image and a text encoder (CLIP and the like)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core import ConfigError, ModelSpec
from ..torch_model import TorchModel

__all__ = ["DualEncoder", "TextEncoder", "text_encoder"]

TextEncoder: TypeAlias = Callable[[Sequence[str]], Tensor]
"""T texts -> embeddings (T, D)."""

_BATCH = 256


class _Encoders(Protocol):
    """What an open_clip model offers, of whichever class it is."""

    logit_scale: Tensor

    def encode_image(self, image: Tensor) -> Tensor: ...

    def encode_text(self, text: Tensor) -> Tensor: ...


class DualEncoder(TorchModel):
    """Answers images with unit-length embeddings (N, D) and encodes texts into the same space.

    Args:
        net: An open_clip model; frozen for good.
        spec: With the answer kind EMBEDDINGS and num_outputs = D.
        mean: Of the image encoder's normalisation, per channel, in [0, 1] units.
        std: Of the same, per channel.
        tokenizer: Turns texts into token ids (T, L).

    Reference: arXiv:2103.00020.
    """

    def __init__(
        self,
        net: nn.Module,
        spec: ModelSpec,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        tokenizer: Callable[[list[str]], Tensor],
    ) -> None:
        super().__init__(net, spec, mean=mean, std=std, owned=True)
        self.tokenizer = tokenizer
        self.logit_scale = float(cast(_Encoders, net).logit_scale.detach().float().exp())

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Encodes texts, without gradients.

        Args:
            texts: T texts of any length; what exceeds the encoder's context is cut.

        Returns:
            Embeddings (T, D), unit length, float32.
        """
        if isinstance(texts, str) or not texts:
            raise ConfigError(f"expected a list with at least one text, got {texts!r}.")
        rows = []
        with torch.no_grad():
            for start in range(0, len(texts), _BATCH):
                tokens = self.tokenizer(list(texts[start : start + _BATCH])).to(self.mean.device)
                rows.append(F.normalize(cast(_Encoders, self.net).encode_text(tokens).float(), dim=-1))
        return torch.cat(rows)

    def _run(self, net: nn.Module, normalized: Tensor) -> Tensor:
        return F.normalize(cast(_Encoders, net).encode_image(normalized).float(), dim=-1)


def text_encoder(model: object) -> TextEncoder | None:
    """Returns what encodes texts into the space of a model's answers; None where nothing does."""
    return model.encode_text if isinstance(model, DualEncoder) else None
