"""The settings of a run as options, for every command that takes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import click

from ..engine import TrainConfig
from ..engine.config.presets import DEFAULTS

__all__ = ["config_options"]

_TYPES: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool}


def config_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds one option per field of TrainConfig, in the order of the fields; None where it is not given."""
    for item in reversed(dataclasses.fields(TrainConfig)):
        kind, choices = _TYPES[str(item.type).split(" ")[0]], item.metadata["choices"]
        flag, decided = kind is bool, DEFAULTS.get(item.name, item.default)
        default = "" if decided is None or flag else f"  [default: {decided}]"
        command = click.option(
            f"--{item.name.replace('_', '-')}",
            item.name,
            type=None if flag else click.Choice(choices) if choices else kind,
            is_flag=flag,
            default=None,
            help=item.metadata["help"] + default,
        )(command)
    return command
