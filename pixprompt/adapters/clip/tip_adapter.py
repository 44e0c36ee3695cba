"""Tip-Adapter: the training images' embeddings as keys of a cache, their labels as its values."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import one_hot

from ...core import ConfigError, RangeError
from ...models import TorchModel
from ...outputs import TextPrompts
from ..whitebox import Parts
from .base import OnEmbeddings

__all__ = ["ALPHAS", "BETAS", "TipAdapter"]

_ALPHA, _BETA = 1.0, 5.5
BETAS = tuple(0.1 + 6.9 * step / 200 for step in range(200))
ALPHAS = tuple(0.1 + (most - 0.1) * step / 20 for most in (3, 50) for step in range(20))
"""What is tried on validation images: the ranges of the public code for ImageNet and, of alpha, its widest as well."""


class TipAdapter(OnEmbeddings):
    """Logits alpha exp(-beta (1 - f F^T)) L + s f W^T: f an image's embedding, F and L the embeddings and one-hot
    labels of the training images, s and W the logit scale and the text embeddings of a dual encoder.

    Without a training it is Tip-Adapter; trained, which moves F and nothing else, Tip-Adapter-F. On a model without a
    text side the second term is missing. (The public code takes the mean of ten augmented views for F, here it is the
    image as it is.)

    Args:
        alpha: Weight of the cache; None for 1 in training, and then the value that validates best.
        beta: How sharply the cache is read; None for 5.5 and the value that validates best.

    Raises:
        RangeError: One of them is negative.

    Reference: arXiv 2111.03930.
    """

    keys: nn.Parameter
    labels: Tensor
    alpha: Tensor
    beta: Tensor
    words: Tensor

    def __init__(
        self,
        model: TorchModel,
        classes: tuple[str, ...],
        *,
        alpha: float | None = None,
        beta: float | None = None,
        generator: Generator,
    ) -> None:
        super().__init__(model, classes)
        if min(alpha or 0, beta or 0) < 0:
            raise RangeError(f"alpha and beta must be at least 0, got {alpha} and {beta}.")
        self.fixed = (alpha, beta)
        self.register_buffer("alpha", torch.tensor(_ALPHA if alpha is None else alpha))
        self.register_buffer("beta", torch.tensor(_BETA if beta is None else beta))
        width = model.spec.num_outputs if self._net[0] is None else self._net[0].width()
        self.keys = nn.Parameter(torch.zeros(0, width))
        self.register_buffer("labels", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("words", torch.zeros(len(classes), width))
        texts = self.texts()
        if texts is not None:
            self.read(texts)

    def read(self, texts: TextPrompts) -> None:
        """Takes the text embeddings of the classes, in units of the logit scale."""
        self.words = texts.embeddings.to(self.words) * texts.logit_scale

    def num_learned(self, num_images: int) -> int:
        """See `WhiteBox`: a key for each image."""
        return num_images * self.keys.shape[1]

    @torch.no_grad()
    def start(self, parts: Parts, labels: Tensor) -> None:
        """Makes the cache."""
        if not parts:
            raise ConfigError(f"the cache of {len(labels)} images does not fit into memory; take fewer: --shots.")
        self.keys.data = parts[0].to(self.keys)
        self.labels = labels.to(self.keys.device)

    @torch.no_grad()
    def choose(self, parts: Parts, labels: Tensor) -> None:
        """Chooses alpha and beta by accuracy; the first of equals."""
        features, labels = parts[0].to(self.keys), labels.to(self.keys.device)
        affinity, base, best = features @ self.keys.T, features @ self.words.T, -1
        alphas, betas = (
            (value,) if value is not None else grid for value, grid in zip(self.fixed, (ALPHAS, BETAS), strict=True)
        )
        for beta in betas:
            cached = self._cached(affinity, beta)
            for alpha in alphas:
                right = int(((base + alpha * cached).argmax(1) == labels).sum())
                if right > best:
                    best = right
                    self.alpha.fill_(alpha)
                    self.beta.fill_(beta)

    def tuned(self, parts: Parts, *, generator: Generator | None = None) -> Tensor:
        """See the class."""
        features = parts[0].to(self.keys.dtype)
        return self.alpha * self._cached(features @ self.keys.T, self.beta) + features @ self.words.T

    def _cached(self, affinity: Tensor, beta: Tensor | float) -> Tensor:
        weights = torch.exp(-beta * (1 - affinity))
        return weights @ one_hot(self.labels, len(self.words)).to(weights)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *arguments: Any) -> None:
        # As many keys as the file has: the images that it was learned from are not known here.
        self.keys.data = self.keys.new_zeros(state_dict[f"{prefix}keys"].shape)
        self.labels = self.labels.new_zeros(state_dict[f"{prefix}labels"].shape)
        super()._load_from_state_dict(state_dict, prefix, *arguments)
