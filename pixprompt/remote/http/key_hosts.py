"""Which variables of the environment may be sent to which host: what the user said once, remembered in a file."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from ...core import ConfigError
from ...urls import plain_url

__all__ = ["allow", "allowed", "check_allowed", "forget", "key_file", "origin_of"]

_PORTS = {"http": 80, "https": 443}


def key_file() -> Path:
    """Returns where it is remembered: pixprompt/keys.json in the user's folder of settings."""
    folder = os.environ.get("APPDATA" if sys.platform == "win32" else "XDG_CONFIG_HOME")
    return Path(folder or Path.home() / ".config") / "pixprompt" / "keys.json"


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
    usual = port == _PORTS[parts.scheme]
    return f"{parts.scheme}://{parts.hostname}" + ("" if usual else f":{port}")


def allowed() -> dict[str, list[str]]:
    """Returns variable -> origins that it may be sent to.

    Raises:
        ConfigError: The file is damaged, or others than the user may write to it.
    """
    path = key_file()
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error}.") from error
    if sys.platform != "win32" and (status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        raise ConfigError(f"others may write to {path}, which says where keys go. Mend that: chmod 600 {path}")
    try:
        found = json.loads(content)
        return {str(name): [str(origin) for origin in origins] for name, origins in dict(found["keys"]).items()}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigError(f"{path} is damaged ({error}). Remove it, and say again where keys may go.") from error


def allow(variable: str, url: str) -> str:
    """Remembers that a variable may be sent to the host of a URL; returns its origin.

    Raises:
        ConfigError: The URL is none, or the file cannot be read or written.
    """
    origin, known = origin_of(url), allowed()
    _write({**known, variable: sorted({*known.get(variable, ()), origin})})
    return origin


def forget(variable: str) -> None:
    """Takes back everything that was said about a variable.

    Raises:
        ConfigError: The file cannot be read or written.
    """
    _write({name: origins for name, origins in allowed().items() if name != variable})


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


def _write(keys: dict[str, list[str]]) -> None:
    path = key_file()
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(file, "w", encoding="utf-8") as stream:
            json.dump({"keys": keys}, stream, indent=2)
        new.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error}.") from error
