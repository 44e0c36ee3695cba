"""Settings as one frozen value: checked, in JSON, and with what the command line says about each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from ...core import ConfigError
from ...registry import suggest

__all__ = ["Settings", "option"]

_TYPES: dict[str, Any] = {"int": int, "float": (int, float), "str": str, "bool": bool}
_WORDS = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false"}


def option(
    default: Any, text: str, choices: tuple[str, ...] = (), *, low: float | None = None, below: float | None = None
) -> Any:
    """A field of settings.

    Args:
        default: Its value where nobody says otherwise.
        text: The help of the command-line option of the same name.
        choices: The only values; empty for any.
        low: The least value; None for any.
        below: What a value with a `low` stays below; None for no such border.
    """
    return field(default=default, metadata={"help": text, "choices": choices, "low": low, "below": below})


@dataclass(frozen=True)
class Settings:
    """A base of frozen settings whose fields are `option`s, annotated as int, float, str or bool, or that or None.

    Raises:
        ConfigError: A value is of the wrong type, or outside its choices or its range.
    """

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None or "None" not in str(item.type):
                _check(item.name, value, str(item.type).split(" ")[0], item.metadata)

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as a JSON object."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def with_values(self, **values: Any) -> Self:
        """Returns a copy with other values.

        Raises:
            ConfigError: A name is not a setting.
        """
        known = {item.name for item in fields(self)}
        for name in values:
            if name not in known:
                raise ConfigError(f"unknown setting {name!r}.{suggest(name, known)}")
        return replace(self, **values)

    @classmethod
    def from_json(cls, values: Any, *, source: str | Path) -> Self:
        """Reads settings.

        Args:
            values: What a JSON file holds.
            source: Named in errors.

        Raises:
            ConfigError: It is no object, or a name is not a setting, with a suggestion.
        """
        if not isinstance(values, dict):
            raise ConfigError(f"{source}: expected a JSON object of settings, got {type(values).__name__}.")
        try:
            return cls().with_values(**values)
        except (ConfigError, TypeError) as error:
            raise ConfigError(f"{source}: {error}") from error


def _check(name: str, value: Any, kind: str, known: Mapping[str, Any]) -> None:
    if not isinstance(value, _TYPES[kind]) or isinstance(value, bool) != (kind == "bool"):
        raise ConfigError(f"{name} must be {_WORDS[kind]}, got {value!r}.")
    if known["choices"] and value not in known["choices"]:
        raise ConfigError(
            f"unknown {name} {value!r}.{suggest(value, known['choices'])} Known: {', '.join(known['choices'])}."
        )
    low, below = known["low"], known["below"]
    if low is not None and not low <= value < (math.inf if below is None else below):
        least = f"at least {low}" if below is None else f"at least {low} and below {below}"
        raise ConfigError(f"{name} must be {least}, got {value}.")
