"""Which variables of the environment may be sent to which host: what the user allowed, remembered in a file."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from ...core import ConfigError
from ...files.user_settings import add_setting, read_settings, remove_setting
from ...urls import plain_url

__all__ = ["allow", "allowed", "check_allowed", "forget", "origin_of"]

_KEYS = "keys"
_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> str:
    """Returns scheme, host and port of a URL.

    Raises:
        ConfigError: It is no URL of HTTP.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (KeyError, ValueError):
        raise ConfigError(f"expected a URL like https://host, got {plain_url(url)!r}.") from None
    if not parts.hostname:
        raise ConfigError(f"expected a URL like https://host, got {plain_url(url)!r}.")
    is_default = port == _PORTS[parts.scheme]
    return f"{parts.scheme}://{parts.hostname}" + ("" if is_default else f":{port}")


def allowed() -> dict[str, list[str]]:
    """Returns variable -> origins that it may be sent to.

    Raises:
        ConfigError: The file is damaged, or others than the user may write to it.
    """
    return read_settings(_KEYS)


def allow(variable: str, url: str) -> str:
    """Remembers that a variable may be sent to the host of a URL; returns its origin.

    Raises:
        ConfigError: It is no URL of HTTP, or the file cannot be read or written.
    """
    origin = origin_of(url)
    add_setting(_KEYS, variable, origin)
    return origin


def forget(variable: str) -> None:
    """Removes a variable and all its hosts from the file.

    Raises:
        ConfigError: The file cannot be read or written.
    """
    remove_setting(_KEYS, variable)


def check_allowed(variables: Iterable[str], url: str, description: str) -> None:
    """Makes sure that a description of an endpoint sends variables only where the user wants to have them.

    Raises:
        ConfigError: One may not go there; the message says how to allow it.
    """
    origin, known = origin_of(url), allowed()
    for variable in sorted(variables):
        if origin not in known.get(variable, ()):
            raise ConfigError(
                f"the description {description} sends the environment variable {variable} to {origin}, and you have "
                f"not said that it may. If that is the right place: pixprompt keys {variable} {origin}"
            )
