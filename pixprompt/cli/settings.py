"""The settings of a run as options, for every command that takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field
from typing import Any

import click

from ..adapters import METHODS
from ..engine.config.train_config import GROUPS, RunSettings, presets
from ..settings import Settings, flag

__all__ = ["config_options"]

_TYPES: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool}


def config_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds one option per setting of a run and of every method; None where it is not given."""
    kinds: tuple[type[Settings], ...] = (RunSettings, *GROUPS.values())
    options = [_option(name, item, item.metadata["help"]) for kind in kinds for name, item in kind.options().items()]
    for option in reversed([*options, *_method_options()]):
        command = option(command)
    return command


def _method_options() -> list[Callable[..., Any]]:
    """Returns the methods' own options; one that several have says what it is of each."""
    lines: dict[str, dict[str, list[str]]] = {}
    items: dict[str, Field[Any]] = {}
    for kind in dict.fromkeys(METHODS[name].settings for name in METHODS):
        for name, item in kind.options().items():
            families = lines.setdefault(name, {}).setdefault(item.metadata["help"], [])
            if kind.family not in families:
                families.append(kind.family)
            items[name] = item
    return [
        _option(name, items[name], "; ".join(f"of {' and '.join(of)}: {text}" for text, of in texts.items()))
        for name, texts in lines.items()
    ]


def _option(name: str, item: Field[Any], text: str) -> Callable[..., Any]:
    kind = _TYPES[str(item.type).split(" ")[0]]
    choices = presets() if name == "preset" else item.metadata["choices"]
    is_flag, default = kind is bool, METHODS["pixel"].defaults.get(name, item.default)
    return click.option(
        flag(name),
        name,
        type=None if is_flag else click.Choice(choices) if choices else kind,
        is_flag=is_flag,
        default=None,
        help=text + ("" if default is None or is_flag else f"  [default: {default}]"),
    )
