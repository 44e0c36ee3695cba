"""Attribute texts in groups, one for each of several prompts, and a matrix from all texts to the classes (DVP)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from ...core import AnswerKind, ShapeError
from ..base import Setup
from ..bayesian import BayesianMappingPlus
from .attributes import encode_attributes, read_attributes

__all__ = ["ReweightedAttributes", "grouped"]


@dataclass(frozen=True, eq=False)
class ReweightedAttributes(BayesianMappingPlus):
    """Similarities to attribute texts, each under the prompt of its group, times p(class | text) (dual encoders).

    With V prompts the texts of all classes are divided by k-means into V groups of similar ones (DVP-cls). Text a, of
    group g, has the score s cos(answer under prompt g, a), s being the logit scale; the logits are those scores times a
    matrix whose columns sum to 1, estimated from the likeliest texts of each image as in "blm+".

    Attributes:
        texts: Different descriptive and distinctive attributes of all classes, in order.
        logit_scale: s.
        embeddings: (T, D) float32, unit length.
        groups: Prompt of each text, 0..V-1.

    Reference: arXiv:2506.01000.
    """

    texts: tuple[str, ...]
    logit_scale: float
    embeddings: Tensor
    groups: tuple[int, ...]

    kind: ClassVar[str] = "reweighted"
    answers: ClassVar[frozenset[AnswerKind]] = frozenset({AnswerKind.EMBEDDINGS})
    joint: ClassVar[bool] = True

    def __post_init__(self) -> None:
        expected = (len(self.texts), self.num_outputs)
        shape = None if self.matrix is None else tuple(self.matrix.shape)
        if tuple(self.embeddings.shape) != expected or shape not in (None, (len(self.texts), len(self.classes))):
            raise ShapeError(f"expected text embeddings {expected} and a row of the matrix for each text.")
        if len(self.groups) != len(self.texts) or min(self.groups) < 0:
            raise ShapeError(f"expected a prompt for each of {len(self.texts)} texts, got {len(self.groups)}.")

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Encodes and groups the texts; see `make_output`."""
        pairs = read_attributes(setup.mapping_file, setup.classes)
        texts = tuple(dict.fromkeys(text for kind in pairs for each in kind for text in each))
        embeddings = encode_attributes(setup, texts)
        spec, constants = setup.spec, dict[str, Any](setup.constants)
        state = (None, texts, float(setup.logit_scale), embeddings, grouped(embeddings, setup.views, setup.seed))
        return cls(setup.classes, spec.num_outputs, spec.answer, *state, **constants)

    def _similarities(self, scores: Tensor) -> Tensor:
        """Answers (N, V * D) -> scores of the texts (N, T)."""
        pages = scores.reshape(len(scores), self.views, -1) @ self.embeddings.T
        places = torch.tensor(self.groups, device=scores.device)
        return self.logit_scale * pages[:, places, torch.arange(len(places), device=scores.device)]

    def _logits(self, scores: Tensor) -> Tensor:
        return super()._logits(self._similarities(scores))

    def _fit(self, scores: Tensor, labels: Tensor) -> Self:
        return super()._fit(self._similarities(scores), labels)


def grouped(embeddings: Tensor, count: int, seed: int) -> tuple[int, ...]:
    """Divides embeddings (T, D) into groups 0..count-1 by k-means, the first of several starts by the seed."""
    if count == 1:
        return (0,) * len(embeddings)
    from sklearn.cluster import KMeans  # slow to import, and for this alone

    clusters = KMeans(count, n_init=10, random_state=seed % 2**32)
    return tuple(clusters.fit_predict(embeddings.cpu().numpy()).tolist())
