"""Index mappings: each class reads the score of one source, or the mean score of several."""

from __future__ import annotations

import logging
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from ..core import ConfigError, RangeError
from .base import Setup, Transform
from .sources import read_mapping

__all__ = ["Mapping", "count_answers", "match_greedily"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Mapping(Transform):
    """A transform whose state is, for each class, the indices of its sources.

    Attributes:
        mapping: K tuples of source indices, 0..S-1; None before the first `refit`.
    """

    mapping: tuple[tuple[int, ...], ...] | None

    def __post_init__(self) -> None:
        if self.mapping is None:
            return
        if len(self.mapping) != len(self.classes) or not all(self.mapping):
            raise ConfigError(f"expected one or more sources for each of {len(self.classes)} classes.")
        for index in (index for sources in self.mapping for index in sources):
            if type(index) is not int or not 0 <= index < self.num_outputs:
                raise RangeError(f"a source index is a whole number in 0..{self.num_outputs - 1}, got {index!r}.")

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Builds the transform; see `make_output`."""
        return cls(setup.classes, setup.spec.num_outputs, setup.spec.answer, cls._first(setup))

    @classmethod
    @abstractmethod
    def _first(cls, setup: Setup) -> tuple[tuple[int, ...], ...] | None:
        """Returns the mapping to start with; None where it is learned from answers."""

    @cached_property
    def _table(self) -> tuple[Tensor, Tensor]:
        """Source indices (K, m) and their weights (K, m); short rows repeat their first source with weight 0."""
        groups = self.mapping or ()
        width = max(len(sources) for sources in groups)
        spare = [width - len(sources) for sources in groups]
        index = [[*sources, *sources[:1] * rest] for sources, rest in zip(groups, spare, strict=True)]
        weight = [[1 / (width - rest)] * (width - rest) + [0.0] * rest for rest in spare]
        return torch.tensor(index), torch.tensor(weight)

    def _logits(self, scores: Tensor) -> Tensor:
        index, weight = (part.to(scores.device) for part in self._table)
        return (scores[:, index] * weight).sum(dim=2)


class FirstK(Mapping):
    """Class k reads source k: hard-coded, learns nothing."""

    kind: ClassVar[str] = "first-k"
    one_to_one: ClassVar[bool] = True

    @classmethod
    def _first(cls, setup: Setup) -> tuple[tuple[int, ...], ...]:
        return tuple((index,) for index in range(len(setup.classes)))


class RandomMapping(Mapping):
    """Each class reads a source drawn by the seed, none drawn twice."""

    kind: ClassVar[str] = "random"
    one_to_one: ClassVar[bool] = True

    @classmethod
    def _first(cls, setup: Setup) -> tuple[tuple[int, ...], ...]:
        order = torch.randperm(setup.spec.num_outputs, generator=torch.Generator().manual_seed(setup.seed))
        return tuple((index,) for index in order[: len(setup.classes)].tolist())


class GivenMapping(Mapping):
    """The sources of each class as a JSON file of yours says, by index or by label."""

    kind: ClassVar[str] = "given"

    @classmethod
    def _first(cls, setup: Setup) -> tuple[tuple[int, ...], ...]:
        if setup.mapping_file is None:
            raise ConfigError(
                "the output transform 'given' needs a mapping file: a JSON object like "
                '{"dog": ["chihuahua", 207], "cat": "tabby"}.'
            )
        return read_mapping(setup.mapping_file, setup.classes, setup.spec)


@dataclass(frozen=True, eq=False)
class _Counted(Mapping):
    """Greedy matching of how often each source was the answer to each class; no source serves two.

    Attributes:
        sources: Number of sources of each class, whose scores are averaged (AutoVP, arXiv:2310.08381).
    """

    sources: int = field(default=1, kw_only=True)

    fits: ClassVar[bool] = True
    one_to_one: ClassVar[bool] = True
    constants: ClassVar[tuple[str, ...]] = ("sources",)

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Builds the transform; see `make_output`."""
        constants: dict[str, Any] = dict(setup.constants)
        mapping = replace(super().make(setup), **constants)
        if not 1 <= mapping.sources * len(setup.classes) <= setup.spec.num_outputs:
            raise ConfigError(
                f"{mapping.sources} sources for each of {len(setup.classes)} classes are not to be had from "
                f"{setup.spec.num_outputs}; each serves one class."
            )
        return mapping

    @classmethod
    def _first(cls, setup: Setup) -> None:
        del setup

    def _fit(self, scores: Tensor, labels: Tensor) -> Self:
        counts = count_answers(scores, labels, len(self.classes))
        groups = match_greedily(counts, self.sources)
        unmatched = [name for k, name in enumerate(self.classes) if counts[groups[k][0], k] == 0]
        if unmatched:
            level = logging.INFO if self.mapping else logging.WARNING  # once is enough where every epoch fits again
            _log.log(
                level, "no answer decides the source of %s; the lowest unused ones are taken", ", ".join(unmatched)
            )
        return replace(self, mapping=tuple(groups))


class FrequencyMapping(_Counted):
    """Greedy matching of sources and classes by how often they meet, fitted once before training.

    Reference: arXiv:2211.11635 (FLM).
    """

    kind: ClassVar[str] = "frequency"


class IterativeMapping(_Counted):
    """The frequency mapping, matched again from the prompted answers during training.

    Reference: arXiv:2211.11635 (ILM).
    """

    kind: ClassVar[str] = "iterative"
    refits_in_training: ClassVar[bool] = True


def count_answers(scores: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Returns how often each source was the top answer to each class, (S, K) int64.

    Args:
        scores: (M, S); a tie goes to the lowest source.
        labels: (M,) in 0..K-1.
        num_classes: K, so that a class without examples keeps its column.
    """
    num_outputs = scores.shape[1]
    cells = scores.argmax(dim=1) * num_classes + labels
    return torch.bincount(cells, minlength=num_outputs * num_classes).reshape(num_outputs, num_classes)


def match_greedily(affinity: Tensor, each: int = 1) -> list[tuple[int, ...]]:
    """Takes the largest affinity of a free source and a class that wants one, until every class has its sources.

    Ties go to the lowest row-major index: source first, then class. Where only zeros remain, that rule gives the
    lowest free source to the lowest class.

    Args:
        affinity: (S, K), S >= each K; not written to.
        each: Sources of a class.

    Returns:
        K groups of source indices, the largest affinity first; none occurs twice.
    """
    num_classes = affinity.shape[1]
    order = affinity.flatten().argsort(descending=True, stable=True)
    groups: list[list[int]] = [[] for _ in range(num_classes)]
    used: set[int] = set()
    for cell in order.tolist():
        source, target = divmod(cell, num_classes)
        if source not in used and len(groups[target]) < each:
            groups[target].append(source)
            used.add(source)
            if len(used) == each * num_classes:
                break
    return [tuple(group) for group in groups]
