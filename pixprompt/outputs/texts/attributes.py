"""Attribute texts: image embeddings against what is seen of each class, and what tells it apart (AttrVR)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ...core import AnswerKind, ConfigError, ShapeError
from ...files import read_json
from ..base import Setup, Transform

__all__ = ["AttributeTexts", "encode_attributes", "read_attributes"]

_KINDS = ("descriptive", "distinctive")
_NEAREST = 3
Texts = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, eq=False)
class AttributeTexts(Transform):
    """Mean similarity to the nearest descriptive and distinctive attribute texts of each class (dual encoders).

    The logit of class k is s (a_k + b_k) / 2, with s the logit scale, a_k the mean of the `nearest` largest cosine
    similarities among the descriptive attributes of k, and b_k the same of its distinctive ones.

    Attributes:
        descriptive: Texts of each class about what its images show.
        distinctive: Texts of each class about what other classes do not show; as many classes, none empty.
        logit_scale: s.
        embeddings: (T, D) float32, unit length: of all descriptive texts in order, then of all distinctive ones.
        nearest: Texts of each kind that count, 3 as published; all where a class has fewer.

    Reference: arXiv:2501.13982, equations 5 to 7.
    """

    descriptive: Texts
    distinctive: Texts
    logit_scale: float
    embeddings: Tensor
    nearest: int

    kind: ClassVar[str] = "attributes"
    answers: ClassVar[frozenset[AnswerKind]] = frozenset({AnswerKind.EMBEDDINGS})
    constants: ClassVar[tuple[str, ...]] = ("nearest",)

    def __post_init__(self) -> None:
        groups = (*self.descriptive, *self.distinctive)
        expected = (sum(map(len, groups)), self.num_outputs)
        if tuple(self.embeddings.shape) != expected or len(groups) != 2 * len(self.classes) or not all(groups):
            raise ShapeError(f"expected text embeddings {expected}, of both kinds of attributes of each class, got "
                             f"{tuple(self.embeddings.shape)}.")  # fmt: skip
        if self.nearest < 1:
            raise ConfigError(f"at least one attribute has to count, got nearest={self.nearest}.")

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Encodes the texts; see `make_output`."""
        texts = read_attributes(setup.mapping_file, setup.classes)
        embeddings = encode_attributes(setup, [text for kind in texts for each in kind for text in each])
        spec, nearest = setup.spec, int(setup.constants.get("nearest", _NEAREST))
        return cls(setup.classes, spec.num_outputs, spec.answer, *texts, setup.logit_scale, embeddings, nearest)

    def _logits(self, scores: Tensor) -> Tensor:
        similarities = scores @ self.embeddings.T
        sizes = [len(texts) for texts in (*self.descriptive, *self.distinctive)]
        parts = torch.split(similarities, sizes, dim=1)
        means = [part.topk(min(self.nearest, part.shape[1])).values.mean(1) for part in parts]
        descriptive, distinctive = torch.stack(means, 1).chunk(2, dim=1)
        return self.logit_scale * (descriptive + distinctive) / 2


def read_attributes(path: Path | None, classes: Sequence[str]) -> tuple[Texts, Texts]:
    """Reads the attributes of each class: descriptive and distinctive texts.

    Args:
        path: A JSON object {"class": {"descriptive": [text, ...], "distinctive": [text, ...]}}; a list instead stands
            for both kinds.
        classes: K names.

    Raises:
        ConfigError: There is no file, it cannot be read, or a class or a kind of its attributes is missing.
    """
    example = '{"cat": {"descriptive": ["a furry animal"], "distinctive": ["whiskers"]}}'
    if path is None:
        raise ConfigError(f"output 'attributes' needs texts about each class: --mapping FILE, with {example}.")
    try:
        entries = read_json(path)
        groups = [entries[name] for name in classes]
        pairs = [[each[kind] for kind in _KINDS] if isinstance(each, dict) else [each, each] for each in groups]
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ConfigError(f"{path} holds no attributes of all classes ({reason}); expected {example}.") from error
    for name, pair in zip(classes, pairs, strict=True):
        for texts in pair:
            if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
                raise ConfigError(f"{path}: the attributes of {name!r} are lists of one or more texts; see {example}.")
    descriptive, distinctive = zip(*pairs, strict=True)
    return tuple(map(tuple, descriptive)), tuple(map(tuple, distinctive))


def encode_attributes(setup: Setup, texts: Sequence[str]) -> Tensor:
    """Returns unit embeddings of texts, (T, D) float32.

    Raises:
        ConfigError: The model has no text encoder.
    """
    if setup.encode_text is None:
        raise ConfigError(f"attributes need a text encoder and {setup.spec.name} came without one; give encode_text.")
    with torch.no_grad():
        encoded: Any = setup.encode_text(texts)
        return normalize(encoded.detach().float(), dim=1)
