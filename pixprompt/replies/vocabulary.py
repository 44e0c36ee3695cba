"""The labels of a model that answers in words: known from the start, or collected as answers arrive."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..core import ModelError

__all__ = ["OTHER", "Vocabulary"]

OTHER = "(other)"
"""The label of answers that name none of the labels."""
_MAX_LABELS = 10_000
_MAX_WORDS = 4
"""Of an answer that becomes a label by itself; longer ones are sentences."""
_ARTICLES = frozenset({"a", "an", "the"})


class Vocabulary:
    """Labels and their indices; an open one begins with OTHER alone and grows at its end until it is closed.

    A sentence stands for the label that it mentions first, the longest one where several begin there. Whole words
    count, in any case, `_` and `-` as spaces, with or without a plural "s" at the end; the parts of a label between
    commas are its synonyms. Negation is not understood: "not a cat" mentions a cat.

    While the vocabulary is open, an answer of at most four words becomes a label of its own, unless it is one or
    mentions a label that was expected. So "tiger shark" becomes a label beside "tiger".

    Args:
        labels: The known ones, in order, OTHER last unless it is among them; None for an open vocabulary.

    Attributes:
        open: Whether new labels are added.
    """

    def __init__(self, labels: Sequence[str] | None, *, name: str) -> None:
        self.name = name
        self._is_fixed = labels is not None
        self.open = labels is None
        self._expected = _Phrases()
        self._set((OTHER,) if labels is None else dict.fromkeys((*labels, OTHER)))

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels so far."""
        return tuple(self._indices)

    def close(self) -> None:
        """Ends the growth: what is unknown from now on counts as OTHER."""
        self.open = False

    def restore(self, labels: Sequence[str], closed: bool) -> None:
        """Takes over the labels of an earlier vocabulary, in their order.

        Raises:
            ModelError: The labels were known from the start, and they are others; or OTHER is missing.
        """
        if self._is_fixed and tuple(labels) != self.labels:
            raise ModelError(
                f"model {self.name!r} has {len(self.labels)} labels, and not the {len(labels)} that were recorded for "
                "it; give the labels of that time, in the same order."
            )
        if OTHER not in labels or len(set(labels)) != len(labels):
            raise ModelError(f"the recorded labels of model {self.name!r} are damaged: no {OTHER!r}, or one twice.")
        self._set(labels)
        self.open = not closed

    def expect(self, names: Iterable[str]) -> None:
        """Adds labels that sentences and short answers may mention; a closed vocabulary keeps its own."""
        if self.open:
            for name in names:
                self._expected.add(name, self.index(name))

    def index(self, label: str) -> int:
        """Returns the index of exactly this label; an unknown one is added while that is possible.

        Raises:
            ModelError: There are too many.
        """
        index = self._indices.get(label)
        if index is None:
            index = self._add(label) if self.open else self._indices[OTHER]
        return index

    def read(self, answer: str) -> int:
        """Returns the index of the label that an answer in words stands for.

        Raises:
            ModelError: There are too many labels.
        """
        label, words = answer.strip(), _words(answer)
        if label in self._indices:
            return self._indices[label]
        short = self.open and len(words) <= _MAX_WORDS
        index = self._phrases.whole(words)
        if index is None:
            index = (self._expected if short else self._phrases).first(words)
        if index is not None:
            return index
        return self.index(label.strip(" \t\n.,;:!?\"'`*")) if short and words else self._indices[OTHER]

    def _add(self, label: str) -> int:
        if len(self._indices) >= _MAX_LABELS:
            raise ModelError(
                f"model {self.name!r} has answered with {_MAX_LABELS} different labels and goes on; give the ones that "
                "count: labels=, or an attribute `labels` of the callable."
            )
        self._indices[label] = len(self._indices)
        self._phrases.add(label, self._indices[label])
        return self._indices[label]

    def _set(self, labels: Iterable[str]) -> None:
        self._indices: dict[str, int] = {label: index for index, label in enumerate(labels)}
        self._phrases = _Phrases()
        for label, index in self._indices.items():
            self._phrases.add(label, index)


class _Phrases:
    """Labels and synonyms as word sequences. Whole labels go before synonyms, earlier labels before later ones."""

    def __init__(self) -> None:
        self._exact: dict[tuple[str, ...], tuple[int, int]] = {}
        self._singular: dict[tuple[str, ...], tuple[int, int]] = {}
        self._longest = 0

    def add(self, label: str, index: int) -> None:
        if label == OTHER:
            return
        self._note(_words(label), (0, index))
        for part in label.split(","):
            self._note(_words(part), (1, index))

    def whole(self, words: tuple[str, ...]) -> int | None:
        """Returns the label that these words are, all of them together."""
        index = self._exact.get(words) or self._singular.get(_singular(words))
        return None if index is None else index[1]

    def first(self, words: tuple[str, ...]) -> int | None:
        """Returns the longest of the labels at the earliest mention."""
        for start in range(len(words)):
            for end in range(min(start + self._longest, len(words)), start, -1):
                index = self.whole(words[start:end])
                if index is not None:
                    return index
        return None

    def _note(self, words: tuple[str, ...], entry: tuple[int, int]) -> None:
        if words:
            self._exact[words] = min(entry, self._exact.get(words, entry))
            singular = _singular(words)
            self._singular[singular] = min(entry, self._singular.get(singular, entry))
            self._longest = max(self._longest, len(words))


def _words(text: str) -> tuple[str, ...]:
    words = re.findall(r"[^\W_]+", text.casefold())
    return tuple(words[1:] if len(words) > 1 and words[0] in _ARTICLES else words)


def _singular(words: tuple[str, ...]) -> tuple[str, ...]:
    last = words[-1] if words else ""
    return (*words[:-1], last[:-1]) if len(last) > 3 and last.endswith("s") and not last.endswith("ss") else words
