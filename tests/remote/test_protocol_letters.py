"""Letters that stand for labels: alone, in sentences, and words that only look like one."""

from __future__ import annotations

import pytest

from pixprompt.remote.protocols.openai import letter_of_text, letter_of_token


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        *(("B", "B"), (" b\n", "B"), ("(B)", "B"), ("**B**", "B"), ("B.", "B"), ("B) dog", "B"), ("B. A dog", "B")),
        *(("**B**. dog", "B"), ("B: dog", "B"), ("(B) dog", "B"), ("B - dog", "B"), ("The answer is B.", "B")),
        *(("Answer: B", "B"), ("The correct option is **B**.", "B"), ("the ANSWER is (B)", "B"), ("\u2581B", "B")),
        *(("A dog", None), ("a dog.", None), ("Bird", None), ("", None), ("dog", None), ("I am sorry", None)),
        *(("The answer is a dog.", None), ("The answer is A dog", None), ("é", None), ("7", None), ("Option", None)),
    ],
)
def test_letters_in_texts(text: str, letter: str | None) -> None:
    assert letter_of_text(text) == letter


@pytest.mark.parametrize("token", ["B", " B", "b", "B.", "(B", "\u0120B", "\u2581b", "**B"])
def test_tokens_that_are_a_letter(token: str) -> None:
    assert letter_of_token(token) == "B"


@pytest.mark.parametrize("token", ["", " ", "Bi", "B B", "1", "\u00df", "\u0392", "<s>"])
def test_tokens_that_are_none(token: str) -> None:
    assert letter_of_token(token) != "B"
