"""The settings of a run as options, for every command that takes them: in sections, most of them behind --help-all."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import Field
from typing import Any, TypeAlias

import click
from click.shell_completion import CompletionItem

from ..adapters import METHODS
from ..engine.config.train_config import GROUPS, RunSettings, presets
from ..settings import Settings, flag

__all__ = ["RunCommand", "config_options"]

_Arguments: TypeAlias = tuple[tuple[str, str], dict[str, Any]]
_METHODS = "pixprompt.methods"
_TYPES: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool}
_SHORT = {
    "Essentials": ("model", "data", "method", "out", "config_file", "resume", "dry_run", "seed", "budget", "device"),
    "Prompt": ("template", "size", "blend", "views", "predictions"),
    "Labels": ("output", "text", "shots"),
    "Training": ("preset", "optimizer", "lr", "epochs", "batch_size"),
}
"""Sections of --help -> their options."""
_TITLES = {
    "run": "Run",
    "model": "Model",
    "endpoint": "Model behind a URL",
    "data": "Data",
    "prompt": "Pixel prompt",
    "output": "Output transform",
    "fit": "Training by gradients",
    "search": "Learning from answers alone",
}
"""Groups of settings -> sections of --help-all."""
_OF_METHODS = "Settings of one method"
_REGISTRIES = {
    "model": "models:MODELS",
    "surrogate": "models:MODELS",
    "data": "data:DATASETS",
    "template": "templates:TEMPLATES",
    "method": "adapters:METHODS",
    "output": "outputs:OUTPUTS",
    "optimizer": "optimizers:OPTIMIZERS optimizers:QUERY_OPTIMIZERS",
    "protocol": "remote.protocols:PROTOCOLS",
}
"""Options in Python's spelling -> the registries of their names, below the package."""


class _Setting(click.Option):
    """An option that knows its section of --help-all, and that its default is the method's."""

    def __init__(self, *arguments: Any, section: str, standard: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.section, self._standard = section, standard

    def make_metavar(self, ctx: click.Context) -> str:
        """Names a value; a long list of choices would hide the sentence beside it."""
        many = isinstance(self.type, click.Choice) and len(self.type.choices) > 6
        return "NAME" if many else super().make_metavar(ctx)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Adds the default that the option has with the method at hand."""
        record = super().get_help_record(ctx)
        method = next(iter(ctx.meta.get(_METHODS, ())), METHODS["pixel"])
        default = {**method.defaults, **method.head_defaults}.get(self.name, self._standard)
        if record is None or default is None or self.is_flag:
            return record
        return record[0], f"{record[1]}.  [default: {default}]"


def config_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds one option per setting of a run and of every method; None where it is not given."""
    groups: dict[str, type[Settings]] = {"run": RunSettings, **GROUPS}
    options = [
        _option(name, item, item.metadata["help"], _TITLES[group])
        for group, kind in groups.items()
        for name, item in kind.options().items()
    ]
    for names, more in reversed([*options, *_method_options()]):
        command = click.option(*names, cls=_Setting, **more)(command)
    show_all = click.option(
        *("--help-all", "help_all"),
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show,
        help="Show every option and exit.",
    )
    return show_all(command)


class RunCommand(click.Command):
    """A command with `config_options`: METHOD in front is --method METHOD, whose settings are options, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Finds the method first."""
        has_arguments = any(isinstance(param, click.Argument) for param in self.params)
        if args and not has_arguments and args[0] in METHODS:
            args = ["--method", *args]
        words = [word for arg in args for word in arg.split("=", 1)]
        after = words[words.index("--method") + 1 :][:1] if "--method" in words else []
        ctx.meta[_METHODS] = [METHODS.load(name) for name in after if ":" in name or name in METHODS]
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Returns the options, with those of the method."""
        params = super().get_params(ctx)
        known = {param.name for param in params}
        own = [pair for method in ctx.meta.get(_METHODS, ()) for pair in method.settings.options().items()]
        return [*params, *(_setting(name, item, _OF_METHODS) for name, item in own if name not in known)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options of a first reading, and those of the method where one is named."""
        params = {param.name: param for param in self.get_params(ctx) if param.name is not None}
        methods, short = ctx.meta.get(_METHODS, ()), {name for names in _SHORT.values() for name in names}
        for title, names in _SHORT.items():
            if title != "Prompt" or not any(method.white_box for method in methods):
                _write(ctx, formatter, title, (params[name] for name in names if name in params))
        for method in methods:
            own = (_setting(name, item, _OF_METHODS) for name, item in method.settings.options().items())
            _write(ctx, formatter, f"Method {method.name}: {method.line}", own)
        rest = [param for name, param in params.items() if name not in short]
        _write(ctx, formatter, "More", (param for param in rest if not isinstance(param, _Setting)))
        formatter.write_paragraph()
        with formatter.indentation():
            hidden = sum(isinstance(param, _Setting) for param in rest)
            formatter.write_text(
                f"{hidden} more settings: '{ctx.command_path} --help-all'; those of one method: "
                "'pixprompt train METHOD --help'."
            )


def _show(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Writes all options by their groups."""
    if not value or ctx.resilient_parsing:
        return
    formatter = ctx.make_formatter()
    ctx.command.format_usage(ctx, formatter)
    ctx.command.format_help_text(ctx, formatter)
    sections: dict[str, list[click.Parameter]] = {}
    for each in ctx.command.get_params(ctx):
        sections.setdefault(each.section if isinstance(each, _Setting) else "Command", []).append(each)
    for title, params in sections.items():
        _write(ctx, formatter, title, params)
    click.echo(formatter.getvalue().rstrip("\n"))
    ctx.exit()


def _write(ctx: click.Context, formatter: click.HelpFormatter, title: str, params: Iterable[click.Parameter]) -> None:
    records = [record for param in params if (record := param.get_help_record(ctx)) is not None]
    if records:
        with formatter.section(title):
            formatter.write_dl(records)


def _method_options() -> list[_Arguments]:
    """Returns the methods' own options; one that several have says what it is of each."""
    texts: dict[str, dict[str, list[str]]] = {}
    items: dict[str, Field[Any]] = {}
    for kind in dict.fromkeys(METHODS[name].settings for name in METHODS.builtin()):
        for name, item in kind.options().items():
            families = texts.setdefault(name, {}).setdefault(item.metadata["help"], [])
            if kind.family not in families:
                families.append(kind.family)
            items[name] = item
    return [
        _option(name, items[name], " ".join(f"{' and '.join(of)}: {text}" for text, of in each.items()), _OF_METHODS)
        for name, each in texts.items()
    ]


def _setting(name: str, item: Field[Any], section: str) -> _Setting:
    names, more = _option(name, item, item.metadata["help"], section)
    return _Setting(names, **more)


def _option(name: str, item: Field[Any], text: str, section: str) -> _Arguments:
    """Returns the arguments of `click.option`."""
    kind = _TYPES[str(item.type).split(" ")[0]]
    choices = presets() if name == "preset" else item.metadata["choices"]
    is_flag = kind is bool
    return (flag(name), name), {
        "type": None if is_flag else click.Choice(choices) if choices else kind,
        "is_flag": is_flag,
        "default": None,
        "section": section,
        "standard": item.default,
        "shell_complete": _completion(name),
        "help": text,
    }


def _completion(name: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]] | None:
    """Returns what the shell offers behind an option; None where its values are no names of a registry."""
    places = _REGISTRIES.get(name)
    if places is None:
        return None

    def offer(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        lines: dict[str, str] = {}
        for place in places.split():
            module, _, attribute = place.partition(":")
            lines |= getattr(importlib.import_module(f"...{module}", __name__), attribute).describe()
        return [CompletionItem(each, help=line) for each, line in sorted(lines.items()) if each.startswith(incomplete)]

    return offer
