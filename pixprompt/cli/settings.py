"""The settings of a run as options, for every command that takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field
from typing import Any, TypeAlias

import click

from ..adapters import METHODS
from ..engine.config.train_config import GROUPS, RunSettings, presets
from ..settings import Settings, flag

__all__ = ["RunCommand", "config_options"]

_Declared: TypeAlias = tuple[tuple[str, str], dict[str, Any]]
_OWN = "pixprompt.method"
_TYPES: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool}


def config_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds one option per setting of a run and of every method; None where it is not given."""
    kinds: tuple[type[Settings], ...] = (RunSettings, *GROUPS.values())
    options = [_option(name, item, item.metadata["help"]) for kind in kinds for name, item in kind.options().items()]
    for declarations, more in reversed([*options, *_method_options()]):
        command = click.option(*declarations, **more)(command)
    return command


class RunCommand(click.Command):
    """A command with `config_options` that knows the settings of a method of the user's own, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Finds the method first: its settings are options."""
        words = [word for arg in args for word in arg.split("=", 1)]
        after = words[words.index("--method") + 1 :][:1] if "--method" in words else []
        ctx.meta[_OWN] = [METHODS.load(name) for name in after if ":" in name or name in METHODS]
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Returns the options, with those of the method."""
        params = super().get_params(ctx)
        known = {param.name for param in params}
        own = [pair for method in ctx.meta.get(_OWN, ()) for pair in method.settings.options().items()]
        more = (_option(name, item, item.metadata["help"]) for name, item in own if name not in known)
        return [*params, *(click.Option(declarations, **keywords) for declarations, keywords in more)]


def _method_options() -> list[_Declared]:
    """Returns the methods' own options; one that several have says what it is of each."""
    lines: dict[str, dict[str, list[str]]] = {}
    items: dict[str, Field[Any]] = {}
    for kind in dict.fromkeys(METHODS[name].settings for name in METHODS.builtin()):
        for name, item in kind.options().items():
            families = lines.setdefault(name, {}).setdefault(item.metadata["help"], [])
            if kind.family not in families:
                families.append(kind.family)
            items[name] = item
    return [
        _option(name, items[name], "; ".join(f"of {' and '.join(of)}: {text}" for text, of in texts.items()))
        for name, texts in lines.items()
    ]


def _option(name: str, item: Field[Any], text: str) -> _Declared:
    """Returns the arguments of `click.option`."""
    kind = _TYPES[str(item.type).split(" ")[0]]
    choices = presets() if name == "preset" else item.metadata["choices"]
    is_flag, default = kind is bool, METHODS["pixel"].defaults.get(name, item.default)
    return (flag(name), name), {
        "type": None if is_flag else click.Choice(choices) if choices else kind,
        "is_flag": is_flag,
        "default": None,
        "help": text + ("" if default is None or is_flag else f"  [default: {default}]"),
    }
