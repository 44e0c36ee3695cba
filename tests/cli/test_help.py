"""What --help shows first, what it keeps for --help-all, and what the shell offers."""

from __future__ import annotations

import re

import click
import pytest
from click.shell_completion import ShellComplete

from pixprompt.adapters import METHODS
from pixprompt.cli import commands, main
from pixprompt.data import DATASETS
from pixprompt.engine.config import train_config
from pixprompt.models import MODELS
from pixprompt.optimizers import OPTIMIZERS
from pixprompt.outputs import OUTPUTS
from pixprompt.templates import TEMPLATES


def command(name: str) -> click.Command:
    result = commands.get_command(click.Context(commands), name)
    assert result is not None
    return result


def options(text: str) -> list[str]:
    return re.findall(r"^  (?:-h, )?(--[a-z0-9-]+)", text, re.MULTILINE)


def help_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([*arguments]) == 0
    return capsys.readouterr().out


def test_help_shows_some_twenty_options_in_sections(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(capsys, "train", "--help")
    assert 18 <= len(options(text)) <= 28
    places = [text.index(f"\n{title}:\n") for title in ("Essentials", "Prompt", "Labels", "Training", "More")]
    assert places == sorted(places)
    assert "--concurrency" not in text
    assert "pixprompt train --help-all" in " ".join(text.split())


def test_help_all_shows_every_option_once(capsys: pytest.CaptureFixture[str]) -> None:
    names = options(help_of(capsys, "train", "--help-all"))
    known = [param.opts[-1] for param in command("train").params] + ["--help"]
    assert sorted(names) == sorted(known)
    assert len(names) > 80


@pytest.mark.parametrize("arguments", [("vpt-deep",), ("--method", "vpt-deep"), ("--method=vpt-deep",)])
def test_the_help_of_a_method_has_its_settings_and_its_defaults(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    text = " ".join(help_of(capsys, "train", *arguments, "--help").split())
    method = METHODS["vpt-deep"]
    assert all(f"--{name.replace('_', '-')}" in text for name in method.settings.options())
    assert f"[default: {method.defaults['lr']}]" in text
    assert "--template" not in text
    assert "--gamma" not in text


@pytest.mark.parametrize("name", commands.list_commands(click.Context(commands)))
def test_every_option_is_a_sentence(name: str) -> None:
    top = command(name)
    parts = [top, *top.commands.values()] if isinstance(top, click.Group) else [top]
    for param in (param for part in parts for param in part.params):
        if isinstance(param, click.Option):
            text = re.sub(r"\s*\[default: .*\]$", "", param.help or "")
            assert re.match(r"(?:[a-z0-9-]+(?: and [a-z0-9-]+)*: )?[A-Z].*\.$", text), (param.opts, text)


@pytest.mark.parametrize(
    ("option", "names"),
    [
        ("--model", MODELS),
        ("--data", DATASETS),
        ("--template", TEMPLATES),
        ("--method", METHODS),
        ("--output", OUTPUTS),
        ("--optimizer", OPTIMIZERS),
        ("--preset", train_config.presets()),
    ],
)
def test_the_shell_offers_names(option: str, names: list[str]) -> None:
    shell = ShellComplete(commands, {}, "pixprompt", "_PIXPROMPT_COMPLETE")
    offered = {item.value for item in shell.get_completions(["train", option], "")}
    assert offered >= set(names)
    first = sorted(names)[0]
    assert first in {item.value for item in shell.get_completions(["train", option], first[:2])}
    assert not shell.get_completions(["train", option], "no such name")
