"""Letters that stand for labels: in the likeliest tokens of a chat model, and in what it says."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...replies.vocabulary import OTHER
from ..messages import Incoming
from .answers import finite, garbled, short

__all__ = ["letter_of_text", "letter_of_token", "token_scores"]

_AROUND = " \t\r\n\u2581\u0120.,:;()[]{}<>*_`'\"#-"
"""What may stand around a letter; among it the marks that some tokenizers show for a space."""
_FIRST = re.compile(r"\W*([A-Z])\W*?[).:,\]*\-\u2013\u2014]")
_NAMED = re.compile(r"\b(?i:answer|option|choice|letter)\b(?i:\W+is\b)?\W*\b([A-Z])\b(?!\s+\w)")


def letter_of_token(token: str) -> str | None:
    """Returns the letter that a token is, in upper case, whatever stands around it; None for any other token."""
    letter = token.strip(_AROUND)
    return letter.upper() if len(letter) == 1 and letter.isascii() and letter.isalpha() else None


def letter_of_text(text: str) -> str | None:
    """Returns the letter that a text answers with: "B", "(b)", "B. dog", "The answer is B."; None if it has none.

    A capital letter before a word is none: "A dog" may be meant as it is written.
    """
    alone = letter_of_token(text)
    if alone is not None:
        return alone
    found = _FIRST.match(text) or _NAMED.search(text)
    return None if found is None else found[1]


def token_scores(first: Mapping[str, Any], letters: Mapping[str, str], incoming: Incoming) -> dict[str, float]:
    """Returns label -> probability out of the likeliest first tokens, OTHER for those that are no letter of a label.

    Args:
        first: The first token with its "top_logprobs"; it counts too where it is not among them.
        letters: Letter -> label.
        incoming: The reply, for the fault.

    Raises:
        Fault: A token is no text, or its log-probability no number.
    """
    found = {OTHER: 0.0}
    for token, probability in _tokens(first, incoming):
        label = letters.get(letter_of_token(token) or "", OTHER)
        found[label] = min(1.0, found.get(label, 0.0) + probability)
    return found


def _tokens(first: Mapping[str, Any], incoming: Incoming) -> Iterator[tuple[str, float]]:
    listed = first.get("top_logprobs") or []
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise garbled(f"expected a list of tokens as top_logprobs, got {short(listed)}", incoming)
    known = [entry.get("token") for entry in listed]
    for entry in [*listed, *([] if first.get("token") in known else [first])]:
        token, logprob = entry.get("token"), entry.get("logprob")
        number = -math.inf if logprob == -math.inf else finite(logprob)
        if not isinstance(token, str) or number is None:
            raise garbled(f"expected a token with its log-probability, got {short(entry)}", incoming)
        yield token, math.exp(min(0.0, number))
