"""Checking the options of an endpoint: unknown names and wrong kinds are errors before anything is sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ...core import ConfigError
from ...registry import suggest

__all__ = ["check_keys", "choice_option", "flag_option", "text_option", "whole_option"]


def check_keys(options: Mapping[str, Any], known: Collection[str], what: str) -> None:
    """Makes sure that there are only keys that are known.

    Args:
        options: What the user wrote.
        known: The keys that mean something.
        what: Whose keys, for the message.

    Raises:
        ConfigError: There is another one.
    """
    for key in options:
        if key not in known:
            raise ConfigError(f"{what} has no {key!r}.{suggest(key, known)} Known: {', '.join(sorted(known))}.")


def text_option(options: Mapping[str, Any], name: str) -> str | None:
    """Returns an option that is a text; None where it is not given.

    Raises:
        ConfigError: It is something else, or empty.
    """
    value = options.get(name)
    if name in options and (not isinstance(value, str) or not value):
        raise ConfigError(f"expected a text as option {name!r}, got {value!r}.")
    return value


def choice_option(options: Mapping[str, Any], name: str, known: Collection[str]) -> str | None:
    """Returns an option that is one of some words; None where it is not given.

    Raises:
        ConfigError: It is none of them.
    """
    value = options.get(name)
    if name in options and (not isinstance(value, str) or value not in known):
        raise ConfigError(
            f"expected option {name!r} to be one of {', '.join(known)}, got {value!r}.{suggest(str(value), known)}"
        )
    return value


def flag_option(options: Mapping[str, Any], name: str) -> bool | None:
    """Returns an option that is true or false; None where it is not given.

    Raises:
        ConfigError: It is neither.
    """
    value = options.get(name)
    if name in options and not isinstance(value, bool):
        raise ConfigError(f"expected true or false as option {name!r}, got {value!r}.")
    return value


def whole_option(options: Mapping[str, Any], name: str) -> int | None:
    """Returns an option that is a whole number of at least 1; None where it is not given.

    Raises:
        ConfigError: It is none.
    """
    value = options.get(name)
    if name in options and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ConfigError(f"expected a whole number of at least 1 as option {name!r}, got {value!r}.")
    return value
