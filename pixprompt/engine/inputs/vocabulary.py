"""The labels that a zero-shot model is asked about: the classes, and further words that say more about an image."""

from __future__ import annotations

from collections.abc import Sequence

from ...core import Model
from ...ledger import ZeroShot
from ...outputs import words_for
from ...search.vocabulary import read_vocabulary, widened_labels

__all__ = ["describe_labels", "name_labels"]


def name_labels(
    model: Model, vocabulary: str | None, *, data_name: str, classes: Sequence[str]
) -> tuple[Model, tuple[str, ...]]:
    """Returns the model asked about labels of our choice, and the words among them that stand for no class.

    A model with labels of its own is returned as it is, with no words.

    Args:
        model: Any.
        vocabulary: "auto", "none" or a file; see `read_vocabulary`.
        data_name: Some data sets have words of their own for their classes.
        classes: K names; the labels that the model already has are taken for them where there are any.

    Raises:
        ConfigError: The classes are more than it can be asked about, or the vocabulary cannot be read.
    """
    if not isinstance(model, ZeroShot) or not model.max_labels:
        return model, ()
    own = tuple(dict.fromkeys(model.spec.labels or words_for(data_name, classes)))
    words = () if vocabulary in (None, "none") else read_vocabulary(vocabulary)
    labels = widened_labels(own, words, model.max_labels)
    return model.with_labels(labels), labels[len(own) :]


def describe_labels(model: Model, words: tuple[str, ...]) -> list[str]:
    """Returns what the user should know about the labels that a run asks about; nothing where they are the classes."""
    if not words:
        return []
    count = len(model.spec.labels or ())
    examples = ", ".join(words[:3])
    return [
        f"Each query asks about {count} labels: {count - len(words)} of the classes and {len(words)} further words "
        f"({examples}, ...; --vocabulary), which say more about an image at the same number of queries."
    ]
