"""From the answers of a callable to rows of scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from ..core import AnswerKind, ConfigError, ModelError
from .parse import Reply, Scores
from .vocabulary import OTHER, Vocabulary

__all__ = ["Reader", "Rows", "is_distribution", "reader_for"]

Rows: TypeAlias = npt.NDArray[np.float32]
_DECIMALS = 6
_CLOSE = 1e-3
"""How far the sum of probabilities of full precision may be from 1; half precision needs as much."""


class Reader(Protocol):
    """Turns answers of one form into rows (N, S)."""

    @property
    def answer(self) -> AnswerKind:
        """What the numbers of the rows are."""
        ...

    @property
    def num_outputs(self) -> int:
        """S so far."""
        ...

    @property
    def labels(self) -> tuple[str, ...] | None:
        """S names so far."""
        ...

    @property
    def vocabulary(self) -> Vocabulary | None:
        """Where the labels come from; None where they are fixed."""
        ...

    def check(self, reply: Reply) -> None:
        """Makes sure that an answer has the form, the length or the labels that go with the first one.

        Raises:
            ModelError: It has not.
        """
        ...

    def rows(self, replies: Sequence[Reply]) -> Rows:
        """Returns the answers as rows.

        Raises:
            ModelError: One of them does not pass `check`, or has impossible scores.
        """
        ...


def reader_for(
    first: Reply,
    *,
    answer: AnswerKind | None,
    labels: tuple[str, ...] | None,
    num_outputs: int | None,
    name: str,
) -> Reader:
    """Chooses how to read a callable from its first answer; see `as_model` for the rule.

    Args:
        first: The answer to one image.
        answer: What the numbers are; None to infer it from `first`.
        labels: Of the outputs, if known.
        num_outputs: S, if scores should be checked for it.

    Raises:
        ConfigError: Labels or kind do not go with the answer.
        ModelError: The answer does not go with what was said about it.
    """
    if isinstance(first, str):
        if answer not in (None, AnswerKind.LABEL):
            raise ConfigError(f"model {name!r} answers with texts, which are no {answer}; leave out answer=.")
        return _Words(Vocabulary(labels, name=name))
    if answer is AnswerKind.LABEL:
        raise ConfigError(f"model {name!r} answers with scores, and answer='label' needs texts; leave out answer=.")
    if isinstance(first, dict):
        return _reader_of_named(first, answer, labels, name)
    if num_outputs not in (None, len(first)):
        raise ModelError(f"model {name!r} returned {len(first)} scores, expected {num_outputs}.")
    if labels is not None and len(labels) != len(first):
        raise ConfigError(f"got {len(labels)} labels for {len(first)} outputs of model {name!r}.")
    return _Dense(_kind_of(first, answer), len(first), labels, name)


def is_distribution(scores: Scores) -> bool:
    """Whether scores (S,) lie in [0, 1] and sum to 1, but for rounding to a few decimals."""
    if len(scores) < 2 or scores.min() < -_CLOSE or scores.max() > 1 + _CLOSE:
        return False
    steps = (10.0**-places for places in range(1, _DECIMALS))
    # Each rounded score is off by half a step at most; 2e-7 is the rounding of float32.
    step = next((step for step in steps if (abs(scores / step - np.rint(scores / step)) <= 2e-7 / step).all()), 0.0)
    return bool(abs(scores.sum() - 1) <= max(_CLOSE, step / 2 * len(scores)) and scores.max() > 0)


class _Dense:
    """Scores of all outputs in a fixed order."""

    vocabulary = None

    def __init__(self, answer: AnswerKind, num_outputs: int, labels: tuple[str, ...] | None, name: str) -> None:
        self.answer = answer
        self.num_outputs = num_outputs
        self.labels = labels
        self.name = name

    def check(self, reply: Reply) -> None:
        self._scores(reply)

    def rows(self, replies: Sequence[Reply]) -> Rows:
        rows = np.empty((len(replies), self.num_outputs), np.float32)
        for row, reply in zip(rows, replies, strict=True):
            row[:] = _checked(self._scores(reply), self.answer, self.name)
        return rows

    def _scores(self, reply: Reply) -> Scores:
        if isinstance(reply, str | dict):
            raise _other_form(self.name, reply, "scores in an array")
        if len(reply) != self.num_outputs:
            raise ModelError(f"model {self.name!r} returned {len(reply)} scores, earlier {self.num_outputs}.")
        return reply


class _Complete(_Dense):
    """Scores by name of all labels; a distribution may leave some out, which then share what it leaves over."""

    def __init__(self, answer: AnswerKind, labels: tuple[str, ...], name: str) -> None:
        super().__init__(answer, len(labels), labels, name)
        self._indices = {label: index for index, label in enumerate(labels)}

    def _scores(self, reply: Reply) -> Scores:
        if not isinstance(reply, dict):
            raise _other_form(self.name, reply, "named scores")
        strange = [label for label in reply if label not in self._indices]
        silent = self.num_outputs - len(reply) + len(strange)
        if strange or (silent and self.answer is not AnswerKind.PROBABILITIES):
            what = f"has no label {strange[0]!r}" if strange else f"left out {silent} of {self.num_outputs} labels"
            raise ModelError(
                f"model {self.name!r} {what}, although its first answer named all of them; give answer='top-k'."
            )
        scores = np.full(self.num_outputs, np.nan)
        scores[[self._indices[label] for label in reply]] = list(reply.values())
        rest = max(0.0, 1 - float(np.nansum(scores))) / max(silent, 1)
        return np.where(np.isnan(scores), min(rest, *reply.values(), 1.0), scores)


class _Named:
    """Outputs that are the labels of a vocabulary, as many as it has; of named scores and of texts."""

    form: ClassVar[str]
    """Of the first answer, for messages."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    @property
    def num_outputs(self) -> int:
        return len(self.vocabulary.labels)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.vocabulary.labels

    def check(self, reply: Reply) -> None:
        self._named(reply)

    def rows(self, replies: Sequence[Reply]) -> Rows:
        entries = [self._entries(self._named(reply)) for reply in replies]
        return _filled(entries, self.num_outputs)  # as many as there are by now

    def _named(self, reply: Reply) -> dict[str, float] | str:
        if not isinstance(reply, str | dict):
            raise _other_form(self.vocabulary.name, reply, self.form)
        return reply

    def _entries(self, reply: dict[str, float] | str) -> dict[int, float]:
        """Returns index -> number; whatever is not named is 0."""
        return {self.vocabulary.read(reply) if isinstance(reply, str) else self._likeliest(reply): 1.0}

    def _likeliest(self, reply: dict[str, float]) -> int:
        # An answer that names nothing must not look like one that names the first label.
        return self.vocabulary.index(max(reply, key=reply.__getitem__) if reply else OTHER)


class _TopK(_Named):
    """Named probabilities of some labels; 0 where an answer is silent. A text is a label that is sure."""

    answer, form = AnswerKind.TOP_K, "named scores"

    def _entries(self, reply: dict[str, float] | str) -> dict[int, float]:
        if not reply or isinstance(reply, str):
            return super()._entries(reply)
        scores = _checked(np.array([*reply.values()], np.float64), self.answer, self.vocabulary.name)
        entries: dict[int, float] = {}
        for label, score in zip(reply, scores.tolist(), strict=True):
            index = self.vocabulary.index(label)
            entries[index] = entries.get(index, 0.0) + score
        return entries


class _Words(_Named):
    """Texts: rows of zeros with a 1 for the label that was meant. Of named scores that is the likeliest."""

    answer, form = AnswerKind.LABEL, "texts"


def _reader_of_named(
    first: dict[str, float], answer: AnswerKind | None, labels: tuple[str, ...] | None, name: str
) -> Reader:
    if answer in (AnswerKind.LOGITS, AnswerKind.PROBABILITIES):
        return _Complete(answer, tuple(dict.fromkeys(labels or first)), name)
    if answer not in (None, AnswerKind.TOP_K):
        raise ConfigError(f"model {name!r} answers with named scores, which are no {answer}; leave out answer=.")
    if answer is None and labels is not None and set(labels) == set(first):
        names = tuple(dict.fromkeys(labels))
        return _Complete(_kind_of(np.array([first[label] for label in names]), None), names, name)
    return _TopK(Vocabulary(labels, name=name))


def _kind_of(scores: Scores, answer: AnswerKind | None) -> AnswerKind:
    return answer or (AnswerKind.PROBABILITIES if is_distribution(scores) else AnswerKind.LOGITS)


def _checked(scores: Scores, answer: AnswerKind, name: str) -> Scores:
    """Returns probabilities within [0, 1]; logits pass."""
    if answer not in (AnswerKind.PROBABILITIES, AnswerKind.TOP_K) or not len(scores):
        return scores
    low, high = float(scores.min()), float(scores.max())
    if low < -_CLOSE or high > 1 + _CLOSE:
        advice = "Percentages? Divide them by 100. " if low >= 0 and high <= 100 + _CLOSE else ""
        raise ModelError(
            f"model {name!r} returned scores from {low:.4g} to {high:.4g}, expected probabilities in [0, 1]. {advice}"
            "If they are logits, return those of all labels with answer='logits'."
        )
    return scores.clip(0, 1)


def _filled(entries: Sequence[dict[int, float]], num_outputs: int) -> Rows:
    rows = np.zeros((len(entries), num_outputs), np.float32)
    for row, scores in zip(rows, entries, strict=True):
        row[list(scores)] = list(scores.values())
    return rows


def _other_form(name: str, reply: Reply, expected: str) -> ModelError:
    came = "a text" if isinstance(reply, str) else "named scores" if isinstance(reply, dict) else "an array of scores"
    return ModelError(f"model {name!r} returned {came}, but {expected} at its first query; keep to one form.")
