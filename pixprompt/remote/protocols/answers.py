"""Reading what came back without trusting it: whatever is not as promised becomes a Fault with a reason."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...replies.parse import Scores
from ..messages import Fault, FaultKind, Incoming

__all__ = [
    "check_count",
    "finite",
    "garbled",
    "label_text",
    "load_json",
    "named_scores",
    "parse_json",
    "raise_error",
    "row_of_scores",
    "short",
]

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60
_MOST = 200
_MOST_VALUES = 1_000_000
"""In the JSON of one reply: a thousand scores for each of a thousand images."""


def short(value: object) -> str:
    """Returns a value of a reply in a few printable words, for messages."""
    text = value if isinstance(value, str) else _SHORT.repr(value)
    words = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * _MOST]).split())
    return words if len(words) <= _MOST else words[: _MOST - 3] + "..."


def garbled(reason: str, incoming: Incoming) -> Fault:
    """Makes the fault of an answer that cannot be read."""
    return Fault(FaultKind.GARBLED, reason, incoming=incoming)


def load_json(content: bytes) -> Any:
    """Reads JSON of a bounded number of values, which are counted before it is parsed.

    Raises:
        ValueError: It is no JSON, is nested too deeply, holds too many values or the same name twice in an object.
    """
    if content.count(b",") + content.count(b":") > _MOST_VALUES:
        raise _FormError(f"the reply holds more than {_MOST_VALUES} values")
    try:
        return json.loads(content, object_pairs_hook=_object)
    except RecursionError as error:
        raise _FormError("the reply is nested too deeply") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise _FormError("an object of the reply holds the same name twice")
    return values


class _FormError(ValueError):
    """It is JSON, and not such as an endpoint answers with."""


def parse_json(incoming: Incoming, text: bytes | None = None) -> Any:
    """Reads a body, or the part of it that is given, as JSON.

    Raises:
        Fault: GARBLED, it is no JSON.
    """
    content = incoming.body if text is None else text
    try:
        return load_json(content)
    except _FormError as error:
        raise garbled(str(error), incoming) from error
    except ValueError as error:
        came = short(content[:40].decode("utf-8", "replace")) or "nothing"
        raise garbled(f"expected JSON, got {came!r}", incoming) from error


def raise_error(body: object, incoming: Incoming) -> None:
    """Raises what an endpoint says under "error" in a reply whose status claims success.

    Raises:
        Fault: BUSY, with its words.
    """
    if isinstance(body, dict) and body.get("error"):
        raise Fault(FaultKind.BUSY, f"the endpoint says: {short(body['error'])}", incoming=incoming)


def finite(value: object, scale: float = 1.0) -> float | None:
    """Returns a JSON number / scale; None for anything else, NaN, infinity and truth values among it."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value) / scale
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def row_of_scores(values: object, incoming: Incoming, *, scale: float = 1.0) -> Scores:
    """Reads the scores of one image, (S,).

    Args:
        values: What should be a list of two or more numbers.
        scale: What is 1 on the endpoint's scale.

    Raises:
        Fault: GARBLED, it is something else.
    """
    if not isinstance(values, list) or len(values) < 2:
        raise garbled(f"expected two or more scores per image, got {short(values)}", incoming)
    numbers = [finite(value, scale) for value in values]
    if None in numbers:
        wrong = values[numbers.index(None)]
        raise garbled(f"expected finite scores, got {short(wrong)} among {len(values)}", incoming)
    return np.asarray(numbers, dtype=np.float64)


def named_scores(
    pairs: Iterable[tuple[object, object]], incoming: Incoming, *, scale: float = 1.0, add_up: bool = False
) -> dict[str, float]:
    """Reads label -> score of one image.

    Args:
        pairs: Labels and scores.
        scale: What is 1 on the endpoint's scale.
        add_up: Whether the scores of a label that comes twice add up; else that is a fault.

    Raises:
        Fault: GARBLED, a label is neither text nor an integer or comes twice, or a score is no finite number.
    """
    shares: dict[str, float] = {}
    for label, value in pairs:
        name = label_text(label)
        number = finite(value, scale)
        if name is None or number is None or not math.isfinite(shares.get(name, 0.0) + number):
            raise garbled(f"expected a label with a finite score, got {short(label)}: {short(value)}", incoming)
        if name in shares and not add_up:
            raise garbled(f"the label {short(name)!r} comes twice", incoming)
        shares[name] = shares.get(name, 0.0) + number
    return shares


def label_text(value: object) -> str | None:
    """Returns a label, which is a text or a whole number; None for anything else."""
    return str(value) if isinstance(value, str) or type(value) is int else None


def check_count(count_read: int, count: int, incoming: Incoming) -> None:
    """Makes sure that every image got one answer.

    Raises:
        Fault: GARBLED, there are more or fewer.
    """
    if count_read != count:
        raise garbled(f"expected {count} answers, one per image, got {count_read}", incoming)
