"""Paths into JSON: `outputs[*].data.concepts`, `choices[0].label`, `["a key with dots"]`."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from ....core import ConfigError

__all__ = ["MISSING", "JsonPath"]

MISSING: Final = object()
"""What stands where a path leads nowhere."""
_EVERY: Final = object()
_STEP = re.compile(
    r'\.?(?P<key>[^.\[\]"\s]+)|\[(?P<place>\d{1,9})\]|\[(?P<every>\*)\]|\[(?P<quoted>"(?:[^"\\]|\\.)*")\]'
)


class JsonPath:
    """A path into a JSON value; the empty path is the value itself.

    Args:
        text: Keys with dots between, `[0]` for an entry of a list, `[*]` for each of them, `["..."]` for odd keys.

    Attributes:
        many: Whether it has a `[*]`.

    Raises:
        ConfigError: The text is none.
    """

    def __init__(self, text: object) -> None:
        if not isinstance(text, str):
            raise ConfigError(f"expected a path such as 'outputs[*].data', got {text!r}.")
        self.text = text
        self._steps: list[object] = []
        place = 0
        while place < len(text):
            match = _STEP.match(text, place)
            if match is None or (place == 0 and text.startswith(".")):
                raise ConfigError(
                    f"cannot read the path {text!r} from {text[place:]!r} on; expected 'outputs[*].data'."
                )
            self._steps.append(_step(match))
            place = match.end()
        self.many = _EVERY in self._steps

    def __str__(self) -> str:
        return self.text or "the body"

    def all(self, value: Any) -> list[Any]:
        """Follows the path along every branch.

        Returns:
            What it leads to, in order; MISSING for each branch that ends early, so that none moves up.
        """
        values = [value]
        for step in self._steps:
            if step is not _EVERY:
                values = [_follow(item, step) for item in values]
            else:
                values = [inner for item in values for inner in (item if isinstance(item, list) else [MISSING])]
        return values

    def one(self, value: Any) -> Any:
        """Returns what a path without `[*]` leads to, or MISSING."""
        return self.all(value)[0]


def _step(match: re.Match[str]) -> object:
    if match["every"]:
        return _EVERY
    if match["place"]:
        return int(match["place"])
    return json.loads(match["quoted"]) if match["quoted"] else match["key"]


def _follow(value: Any, step: object) -> Any:
    if isinstance(step, int):
        return value[step] if isinstance(value, list) and step < len(value) else MISSING
    return value.get(step, MISSING) if isinstance(value, dict) else MISSING
