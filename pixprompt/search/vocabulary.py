"""Words that a model may be asked about besides the classes: an answer about more labels says more about an image.

An endpoint that answers about labels of the caller's choice (zero-shot, chat with log-probabilities) gives one number
for each. A few hundred common nouns besides the classes make a longer answer at the same number of queries, and a head
reads the classes from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..core import ConfigError
from ..files import read_text

__all__ = ["COMMON_NOUNS", "read_vocabulary", "widened_labels"]

COMMON_NOUNS = tuple(Path(__file__).with_name("common_nouns.txt").read_text(encoding="utf-8").split())
"""300 nouns of things that can be seen, in turns of things unlike each other: every beginning of the list is varied."""


def widened_labels(classes: Sequence[str], words: Sequence[str], most: int | None = None) -> tuple[str, ...]:
    """Returns the classes and then the words that name none of them, each once.

    Args:
        classes: K names of the target classes; they keep their order and their places.
        words: Further labels, the most useful ones first.
        most: Labels that the endpoint answers about at a time; None for no limit.

    Raises:
        ConfigError: The limit is below the number of classes.
    """
    if most is not None and most < len(classes):
        raise ConfigError(f"the endpoint answers about {most} labels at a time, but there are {len(classes)} classes.")
    known = {name.casefold(): name for name in reversed(classes)}
    further = {word.casefold(): word for word in reversed(words) if word.casefold() not in known}
    ordered = [further.pop(word.casefold()) for word in words if word.casefold() in further]
    return (*classes, *ordered)[:most]


def read_vocabulary(source: str) -> tuple[str, ...]:
    """Returns the words of "auto", COMMON_NOUNS, or of a text file with one label a line.

    Raises:
        ConfigError: The file cannot be read, or holds no label.
    """
    if source == "auto":
        return COMMON_NOUNS
    try:
        lines = read_text(source).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read the vocabulary {source}: {error}. It is a text file, one label a line."
        ) from error
    words = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not words:
        raise ConfigError(f"the vocabulary {source} holds no label; it is a text file, one label a line, or 'auto'.")
    return words
