"""CoOp: learned words in front of a class, for the frozen text side of a dual encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ...backbones.features import replaced
from ...core import ConfigError
from ...models import DualEncoder, TorchModel
from ...outputs import TextPrompts
from ..whitebox import Parts
from .base import OnEmbeddings

__all__ = ["PLACES", "CoOp"]

PLACES = ("end", "middle", "front")
_PADDING = 0
_DEVIATION = 0.02


class CoOp(OnEmbeddings):
    """Logits s f W^T, where W are the embeddings of texts [V]1 ... [V]M CLASS. and the vectors V are learned.

    Args:
        context: M, the number of vectors.
        context_text: Words whose token embeddings the vectors start as, instead of N(0, 0.02^2); M is their number.
        context_per_class: Separate vectors for each class.
        class_place: Of PLACES.

    Raises:
        ConfigError: The model is no dual encoder, or a text is longer than its text side reads.

    Reference: arXiv 2109.01134.
    """

    tokens: Tensor
    places: Tensor
    scale: Tensor

    def __init__(
        self,
        model: TorchModel,
        classes: tuple[str, ...],
        *,
        context: int = 16,
        context_text: str | None = None,
        context_per_class: bool = False,
        class_place: str = "end",
        generator: Generator,
    ) -> None:
        super().__init__(model, classes)
        texts = self.texts()
        if texts is None:
            raise ConfigError(f"{model.spec.name} has no text side; CoOp learns words for that of a CLIP-like model.")
        words = None if context_text is None else self._ids([context_text])[0]
        context = context if words is None else len(words)
        if class_place not in PLACES or context < 1:
            raise ConfigError(
                f"expected 1 or more vectors and a place of {', '.join(PLACES)}, got {context}, {class_place!r}."
            )
        shape = (len(classes) if context_per_class else 1, context, self._embedding.embedding_dim)
        start = _DEVIATION * torch.randn(shape, generator=generator)
        if words is not None:
            start = self._embedding.weight.detach()[words].repeat(len(start), 1, 1)
        self.context, self.place = nn.Parameter(start), class_place
        self.register_buffer("scale", torch.tensor(texts.logit_scale))
        self.read(texts)

    @property
    def _embedding(self) -> nn.Embedding:
        """The token embedding of the text side."""
        return next(module for module in self.model.net.modules() if isinstance(module, nn.Embedding))

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Returns the parameters of both sides."""
        return list(self.model.net.parameters())

    def read(self, texts: TextPrompts) -> None:
        """Takes the words that stand for the classes."""
        self._weights: tuple[object, Tensor] | None = None
        tokens = self._tokens(["."])
        mark = tokens[0, : int(tokens.argmax()) + 1].tolist()
        if len(mark) != 3:
            raise ConfigError(f"the text side of {self.model.spec.name} reads texts in another way than CLIP's own.")
        count, (first, full_stop, last) = self.context.shape[1], mark
        blank, rows, places = [first] * count, [], []
        before = {"end": count, "middle": count // 2, "front": 0}[self.place]
        for name in self._ids(texts.words):
            row = [first, *blank[:before], *name, *blank[before:], full_stop, last]
            if len(row) > tokens.shape[1]:
                raise ConfigError(f"{count} vectors and a class name of {len(name)} tokens are too long; take fewer.")
            rows.append(row + [_PADDING] * (tokens.shape[1] - len(row)))
            places.append([*range(1, before + 1), *range(1 + before + len(name), 1 + count + len(name))])
        device = self.context.device
        self.register_buffer("tokens", torch.tensor(rows, device=device))
        self.register_buffer("places", torch.tensor(places, device=device))

    def weights(self) -> Tensor:
        """Returns the unit embeddings of the texts, (K, D)."""
        embedding = _WithContext(self._embedding, self.places, self.context)
        net: Any = replaced(self.model.net, self._embedding, embedding)
        return F.normalize(net.encode_text(self.tokens).float(), dim=-1)

    def tuned(self, parts: Parts, *, generator: Generator | None = None) -> Tensor:
        """See the class."""
        if self.training:
            return self.scale * parts[0] @ self.weights().T
        context = self.context
        state = (context._version, context.dtype, context.device)
        if self._weights is None or self._weights[0] != state:
            self._weights = (state, self.weights().detach())  # the texts are encoded once, not for each batch
        return self.scale * parts[0] @ self._weights[1].T

    def _tokens(self, texts: Sequence[str]) -> Tensor:
        return cast(DualEncoder, self.model).tokenizer(list(texts))

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the tokens of texts without the first and the last one, which has the highest number."""
        return [row[1 : int(row.argmax())].tolist() for row in self._tokens(texts)]


class _WithContext(nn.Module):
    """Token embeddings (K, T, D) with learned vectors (1 or K, M, D) at places (K, M)."""

    def __init__(self, embedding: nn.Embedding, places: Tensor, context: Tensor) -> None:
        super().__init__()
        self.embedding, self.places = embedding, places.unsqueeze(2)
        self.vectors = (context,)

    def forward(self, tokens: Tensor) -> Tensor:
        embedded: Tensor = self.embedding(tokens)
        context = self.vectors[0].expand(len(tokens), -1, -1).to(embedded)
        return embedded.scatter(1, self.places.expand_as(context), context)
