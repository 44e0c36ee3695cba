"""Which labels an endpoint is asked about besides the classes."""

from pathlib import Path

import pytest

from pixprompt.core import ConfigError
from pixprompt.search.vocabulary import COMMON_NOUNS, read_vocabulary, widened_labels


def test_the_list_has_no_word_twice() -> None:
    assert len(COMMON_NOUNS) == len(set(COMMON_NOUNS)) == 300
    assert all(word.isalpha() and word.islower() for word in COMMON_NOUNS)


def test_classes_come_first_and_only_once() -> None:
    labels = widened_labels(("Dog", "seven"), ("cat", "dog", "cat", "car"))
    assert labels == ("Dog", "seven", "cat", "car")
    assert widened_labels(("Dog", "seven"), ("cat", "dog", "car"), most=3) == ("Dog", "seven", "cat")
    with pytest.raises(ConfigError, match="3 labels at a time"):
        widened_labels(tuple("abcd"), COMMON_NOUNS, most=3)


def test_a_vocabulary_comes_from_a_file_or_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("stroke\n\n curve \nstroke\n")
    assert read_vocabulary(str(path)) == ("stroke", "curve")
    assert read_vocabulary("auto") == COMMON_NOUNS
    path.write_text("\n")
    with pytest.raises(ConfigError, match="no label"):
        read_vocabulary(str(path))
    with pytest.raises(ConfigError, match="one label a line"):
        read_vocabulary(str(tmp_path / "missing.txt"))
