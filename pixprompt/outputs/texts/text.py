"""Text prompts: image embeddings against the embeddings of what is said about each class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ...core import AnswerKind, ConfigError, ModelError, ShapeError
from ..base import Setup, Transform
from .templates import DEFAULT, check_templates, fill, pretty

__all__ = ["TextPrompts", "encode_words"]


@dataclass(frozen=True, eq=False)
class TextPrompts(Transform):
    """Cosine similarity to text embeddings, one template or an ensemble (dual encoders).

    The texts are encoded once, when the transform is made; the JSON form keeps their embeddings, so that a prompt
    file needs no text encoder.

    Attributes:
        templates: Each with one {}.
        words: What stands for each class in a template.
        logit_scale: Factor on the cosine similarities.
        embeddings: (K, D) float32, unit length.

    Reference: arXiv:2103.00020, section 3.1; arXiv:2203.17274, section 3.2.
    """

    templates: tuple[str, ...]
    words: tuple[str, ...]
    logit_scale: float
    embeddings: Tensor

    kind: ClassVar[str] = "text"
    answers: ClassVar[frozenset[AnswerKind]] = frozenset({AnswerKind.EMBEDDINGS})

    def __post_init__(self) -> None:
        expected = (len(self.classes), self.num_outputs)
        if tuple(self.embeddings.shape) != expected or len(self.words) != len(self.classes):
            raise ShapeError(
                f"expected text embeddings {expected} and {expected[0]} words, got {tuple(self.embeddings.shape)} "
                f"and {len(self.words)}."
            )
        if not 0 < self.logit_scale < float("inf"):
            raise ConfigError(f"the logit scale must be positive and finite, got {self.logit_scale}.")

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Encodes the texts; see `make_output`."""
        if setup.encode_text is None:
            raise ConfigError(
                f"the output transform 'text' needs a text encoder and {setup.spec.name} came without one; give "
                "encode_text, or choose 'linear'."
            )
        templates = check_templates(DEFAULT if setup.texts is None else setup.texts)
        words = setup.words or tuple(pretty(name) for name in setup.classes)
        embeddings = encode_words(setup.encode_text, templates, words)
        spec = setup.spec
        return cls(setup.classes, spec.num_outputs, spec.answer, templates, words, float(setup.logit_scale), embeddings)

    @classmethod
    def restore(cls, values: dict[str, Any], setup: Setup) -> Self:
        """Takes the embeddings that were saved; encodes the texts again where there are none."""
        if "embeddings" in values or setup.encode_text is None:
            return super().restore(values, setup)
        texts, words = check_templates(values["templates"]), tuple(values["words"])
        embeddings = encode_words(setup.encode_text, texts, words)
        scale = values.get("logit_scale", setup.logit_scale)
        return cls(setup.classes, setup.spec.num_outputs, setup.spec.answer, texts, words, scale, embeddings)

    def _logits(self, scores: Tensor) -> Tensor:
        return scores @ self.embeddings.T * self.logit_scale


def encode_words(
    encode_text: Callable[[Sequence[str]], Tensor], templates: Sequence[str], words: Sequence[str]
) -> Tensor:
    """Returns one unit embedding per word, (K, D) float32: the renormalised mean over the templates.

    Raises:
        ModelError: The text encoder answers with values that are not finite.
        ShapeError: It does not answer with one row per text.
    """
    texts = fill(templates, words)
    with torch.no_grad():
        encoded = encode_text(texts).detach().float()
        if encoded.ndim != 2 or len(encoded) != len(texts):
            raise ShapeError(f"the text encoder got {len(texts)} texts and answered with {tuple(encoded.shape)}.")
        if not bool(torch.isfinite(encoded).all()):
            raise ModelError("the text encoder answered with values that are not finite.")
        grouped = normalize(encoded, dim=1).reshape(len(words), len(templates), -1)
        return normalize(grouped.mean(dim=1), dim=1)
