"""The residual head: the logits of text prompts, corrected by as much as labelled answers support."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from torch import Tensor

from ...core import AnswerKind
from ..base import Setup
from ..texts.text import TextPrompts
from .few_answers import best_factor
from .form import principal_axes, row_blocks
from .head import LinearHead, choose_strength, logistic_regression

__all__ = ["ResidualHead"]


@dataclass(frozen=True, eq=False)
class ResidualHead(LinearHead):
    """Text prompts plus a linear correction: logistic regression whose weights shrink towards those of the texts.

    Few answers leave the order of the texts as it is, many make it a linear head; a class without any keeps its text.
    How sure the texts are is scaled first.

    Attributes:
        texts: (S, K) weights of the text prompts, the logit scale included.

    Reference: arXiv:2211.10277 (task residuals of the text-based classifier).
    """

    texts: Tensor

    kind: ClassVar[str] = "residual"
    answers: ClassVar[frozenset[AnswerKind]] = frozenset({AnswerKind.EMBEDDINGS})

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Encodes the texts; see `make_output`."""
        text, spec = TextPrompts.make(setup), setup.spec
        weight = (text.logit_scale / setup.views * text.embeddings.T).repeat(setup.views, 1)
        return cls(setup.classes, spec.num_outputs, spec.answer, setup.seed, None, None, None, weight)

    def _fit(self, scores: Tensor, labels: Tensor) -> Self:
        scores, texts, num_classes = scores.double(), self.texts.double(), len(self.classes)
        features, axes, center = principal_axes(scores, self.views)
        blocks = ((scores[rows] @ texts, labels[rows]) for rows in row_blocks(len(labels), num_classes))
        texts = texts * best_factor(blocks)[1]  # where they are wrong they must not be sure
        logits = scores @ texts
        strength = self.strength or choose_strength(features, labels, num_classes, self.seed, offset=logits)
        weight, bias = logistic_regression(features, labels, num_classes, strength=strength, offset=logits)
        weight = axes @ weight
        return replace(self, strength=strength)._solved(texts + weight, bias - center @ weight)
