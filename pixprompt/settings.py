"""Settings as one frozen value: checked, in JSON, and with what the command line says about each."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from .core import ConfigError
from .registry import suggest

__all__ = ["Settings", "flag", "option"]

_TYPES: dict[str, Any] = {"int": int, "float": (int, float), "str": str, "bool": bool}
_WORDS = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false"}


def option(
    default: Any,
    text: str,
    choices: tuple[str, ...] = (),
    *,
    low: float | None = None,
    below: float | None = None,
    name: str | None = None,
    paths: tuple[str, ...] = (),
    files: tuple[str, ...] = (),
    joined: bool = False,
) -> Any:
    """A field of settings.

    Args:
        default: Its value where nobody says otherwise.
        text: The help of its command-line option.
        choices: The only values; empty for any.
        low: The least value; None for any.
        below: What a value with a `low` stays below; None for no such border.
        name: Of its command-line option, in Python's spelling; None for that of the field.
        paths: Prefixes behind which a value is a path; "" where all of it is one.
        files: Prefixes behind which a value is a path where there is such a file, and a name elsewhere.
        joined: Whether a value may be several, joined by commas.
    """
    metadata = {
        "help": text,
        "choices": choices,
        "low": low,
        "below": below,
        "name": name,
        "paths": paths,
        "files": files,
        "joined": joined,
    }
    return field(default=default, metadata=metadata)


def flag(name: str) -> str:
    """Returns a command-line option from its name in Python's spelling."""
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True)
class Settings:
    """A base of frozen settings whose fields are `option`s, annotated as int, float, str or bool, or that or None.

    Raises:
        ConfigError: A value is of the wrong type, or outside its choices or its range.
    """

    def __post_init__(self) -> None:
        for name, item in self.options().items():
            value = getattr(self, item.name)
            if value is not None or "None" not in str(item.type):
                _check(name, value, str(item.type).split(" ")[0], item.metadata)

    @classmethod
    def options(cls) -> dict[str, Field[Any]]:
        """Returns the fields by the names of their command-line options, in Python's spelling."""
        return {item.metadata["name"] or item.name: item for item in fields(cls)}

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as a JSON object."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def with_values(self, **values: Any) -> Self:
        """Returns a copy with other values.

        Raises:
            ConfigError: A name is not a setting.
        """
        names = {item.name for item in fields(self)}
        for name in values:
            if name not in names:
                raise ConfigError(f"unknown setting {name!r}.{suggest(name, names)}")
        return replace(self, **values)

    def with_absolute_paths(self) -> Self:
        """Returns a copy whose paths mean the same in every folder."""
        changes: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if value and (item.metadata["paths"] or item.metadata["files"]):
                parts = value.split(",") if item.metadata["joined"] else [value]
                changes[item.name] = ",".join(_with_absolute_path(part, item.metadata) for part in parts)
        return replace(self, **changes)

    @classmethod
    def from_json(cls, values: Any, *, source: str | Path) -> Self:
        """Reads settings.

        Args:
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


def _with_absolute_path(value: str, metadata: Mapping[str, Any]) -> str:
    for prefix in (*metadata["files"], *metadata["paths"]):
        path = value.removeprefix(prefix)
        if value.startswith(prefix) and path and (prefix in metadata["paths"] or os.path.isfile(path)):
            return f"{prefix}{os.path.abspath(os.path.expanduser(path))}"
    return value


def _check(name: str, value: Any, kind: str, metadata: Mapping[str, Any]) -> None:
    if not isinstance(value, _TYPES[kind]) or isinstance(value, bool) != (kind == "bool"):
        raise ConfigError(f"{name} must be {_WORDS[kind]}, got {value!r}.")
    if metadata["choices"] and value not in metadata["choices"]:
        raise ConfigError(
            f"unknown {name} {value!r}.{suggest(value, metadata['choices'])} Known: {', '.join(metadata['choices'])}."
        )
    low, below = metadata["low"], metadata["below"]
    if low is not None and not low <= value < (math.inf if below is None else below):
        least = f"at least {low}" if below is None else f"at least {low} and below {below}"
        raise ConfigError(f"{name} must be {least}, got {value}.")
