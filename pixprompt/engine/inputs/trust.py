"""What a file may name only with the user's word: code, repositories of a hub, and places to send images to.

A run folder is a folder of files, and may come from anywhere. What a user has named, on a command line or in Python, is
remembered; a file that names the same may be opened from then on, and any other is refused.
"""

from __future__ import annotations

import importlib.machinery
import logging
import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ...core import ConfigError
from ...files.user_settings import add_setting, read_settings, remove_setting
from ...remote.http.key_hosts import origin_of
from .opening import Calls, endpoint_url, is_remote, names_hub

__all__ = ["check_trusted", "distrust", "trust", "trust_named", "trusted"]

_LOG = logging.getLogger(__name__)
_TABLE = "trusted"
_CODE, _HUB_DATA = "python:", "hf:"
_KINDS = {"code": "code to run", "hub": "a repository of a hub", "place": "a place to send images to"}


def trusted() -> dict[str, list[str]]:
    """Returns what the user has named: models -> what is behind them, for code the file of its module.

    Raises:
        ConfigError: The file with it is damaged, or others than the user may write to it.
    """
    return read_settings(_TABLE)


def trust(name: str) -> None:
    """Remembers the user's word for code, a model or data of a hub, or a URL, of which the host counts.

    Raises:
        ConfigError: The name needs no word, or it cannot be remembered.
    """
    item = _typed(name)
    if item is None:
        raise ConfigError(
            f"{name!r} needs no word: expected python:module:attribute, a model or data of a hub, or a URL."
        )
    add_setting(_TABLE, item[1], item[2])


def distrust(name: str) -> None:
    """Takes back the user's word for a model, as it was given or as `trusted` lists it.

    Raises:
        ConfigError: The file with it cannot be read or written.
    """
    item = _typed(name)
    remove_setting(_TABLE, name if item is None else item[1])


def trust_named(options: Mapping[str, Any]) -> None:
    """Remembers every model that the settings of a run name, which a user has typed or written in Python.

    Args:
        options: Name -> value, as `TrainConfig.options` returns them.
    """
    try:
        known = trusted()
        for _, key, behind in _items(options, ()):
            if behind not in known.get(key, ()):
                add_setting(_TABLE, key, behind)
    except ConfigError as error:
        _LOG.warning("the models of this run are not remembered as yours: %s", error)


def check_trusted(options: Mapping[str, Any], source: str | Path, *, except_for: Iterable[str] = ()) -> None:
    """Makes sure that the user once named every model that settings from a file name, before any of it is opened.

    Args:
        options: Name -> value.
        source: The file or folder, for messages.
        except_for: Names of options whose values are the user's.

    Raises:
        ConfigError: One was never named; the message says what to type.
    """
    items = _items(options, except_for)
    known = trusted() if items else {}
    for kind, key, behind in items:
        if behind not in known.get(key, ()):
            where = f" ({behind})" if kind == "code" and behind else ""
            raise ConfigError(
                f"{source} names {key}{where}, {_KINDS[kind]}, and no file may decide that. If you trust it, say so "
                f"once: pixprompt trust {shlex.quote(key)}"
            )


def _items(options: Mapping[str, Any], except_for: Iterable[str]) -> list[tuple[str, str, str]]:
    """Returns kind, key and what is behind it, of every model among some settings that needs a word."""
    calls = Calls(**{item.name: options[item.name] for item in fields(Calls) if item.name in options})
    texts = [value for name, value in options.items() if isinstance(value, str) and name not in {*except_for}]
    names = [name.strip() for text in texts for name in text.split(",")]  # some settings hold several
    return [item for item in (_item(name, calls) for name in names) if item is not None]


def _typed(name: str) -> tuple[str, str, str] | None:
    """Returns the item of a name alone; of a URL, whose protocol is not known, the host."""
    is_url = name.lower().startswith(("http://", "https://"))
    return ("place", origin_of(name), "") if is_url else _item(name, Calls())


def _item(name: str, calls: Calls) -> tuple[str, str, str] | None:
    if is_remote(name):
        return "place", origin_of(endpoint_url(name, calls)), ""
    if name.startswith(_CODE):
        return "code", name, _file_of(name.removeprefix(_CODE).partition(":")[0])
    return ("hub", name, "") if names_hub(name) or name.startswith(_HUB_DATA) else None


def _file_of(module: str) -> str:
    """Returns the file of a module's package, without running it; nothing where there is none."""
    package = module.partition(".")[0]
    spec = importlib.machinery.PathFinder.find_spec(package, [os.getcwd(), *sys.path])
    return "" if spec is None or spec.origin is None else str(Path(spec.origin).resolve())
