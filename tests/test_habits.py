"""What the documents say is so: commands, options, names, versions, links."""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import pixprompt
from pixprompt.cli import commands
from pixprompt.registry import Registry

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
GUIDES = sorted(f"assets/guides/{path.name}" for path in (ROOT / "assets" / "guides").iterdir())
MANUAL = "\n".join([README, *((ROOT / name).read_text("utf-8") for name in GUIDES)])
REGISTRIES = {
    "--model": ("models.MODELS",),
    "--data": ("data.DATASETS",),
    "--template": ("templates.TEMPLATES",),
    "--output": ("outputs.OUTPUTS",),
    "--method": ("adapters.METHODS",),
    "--optimizer": ("optimizers.OPTIMIZERS", "optimizers.QUERY_OPTIMIZERS"),
    "--basis": ("templates.BASES",),
    "--protocol": ("remote.protocols.PROTOCOLS",),
    "--endpoint": ("remote.endpoint_file.DESCRIPTIONS",),
}


def registry(where: str) -> Registry[object]:
    module, _, attribute = where.rpartition(".")
    result: Registry[object] = getattr(importlib.import_module(f"pixprompt.{module}"), attribute)
    return result


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def calls(text: str) -> Iterator[list[str]]:
    """The words after `pixprompt` of every call in the shell blocks and between backticks of a document."""
    lines = [line for block in blocks(text, "bash") for line in block.splitlines()]
    lines += re.findall(r"`(pixprompt [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    for line in lines:
        for part in re.split(r"&&|\|\||;", line):
            words = shlex.split(part, comments=True)
            if words and words[0].rpartition("/")[2] == "pixprompt":
                yield words[1:]


def faults(text: str) -> list[str]:
    """What is wrong with the calls in a document."""
    context = click.Context(commands)
    matches = []
    for words in calls(text):
        command = commands.get_command(context, words[0])
        if isinstance(command, click.Group) and len(words) > 1:
            command, words = command.get_command(context, words[1]), words[1:]
        if command is None:
            matches.append(f"no command {words[0]}")
            continue
        options = {name: option for option in command.params for name in option.opts if name.startswith("-")}
        for word, value in itertools.pairwise([*words[1:], ""]):
            name, _, inline = word.partition("=")
            if name.startswith("-") and name not in (*options, "--help", "-"):
                matches.append(f"{words[0]} has no option {name}")
            elif name in options:
                matches += value_faults(name, options[name].type, inline or value)
    return matches


def value_faults(name: str, kind: click.ParamType, value: str) -> list[str]:
    if isinstance(kind, click.Choice) and value not in kind.choices:
        return [f"{name} {value} is no choice"]
    known = [entry for where in REGISTRIES.get(name, ()) for entry in (*registry(where), "auto")]
    if known and ":" not in value and re.sub(r"@\d+$", "", value) not in known:
        return [f"{name} {value} is not known"]
    return []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "experiments/README.md", *GUIDES])
def test_documents_name_commands_options_and_things_that_exist(name: str) -> None:
    assert faults((ROOT / name).read_text("utf-8")) == []


def test_the_manual_shows_every_main_command() -> None:
    assert {"train", "evaluate", "apply", "predict", "inspect"} <= {words[0] for words in calls(MANUAL)}


def test_the_check_of_commands_sees_what_is_wrong() -> None:
    for line, fault in (
        ("pixprompt trian", "no command trian"),
        (".venv/bin/pixprompt train --epoch 3", "train has no option --epoch"),
        ("cd x && pixprompt apply p.png --quick", "apply has no option --quick"),
        ("pixprompt train --template frame", "--template frame is not known"),
        ("pixprompt train --blend under", "--blend under is no choice"),
    ):
        assert faults(f"```bash\n{line}\n```\n") == [fault]
        assert faults(f"text `{line.split('&& ')[-1].removeprefix('.venv/bin/')}` text") == [fault]


def test_code_of_the_manual_uses_names_that_exist() -> None:
    used = set()
    for block in blocks(MANUAL, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pixprompt":
                used.add(node.attr)
    assert {"train", "load"} <= used <= set(pixprompt.__all__)
    for name in pixprompt.__all__:
        assert getattr(pixprompt, name) is not None


def test_readme_has_the_two_commands_of_a_newcomer_and_ci_runs_the_one_of_the_tests() -> None:
    lines = [line for block in blocks(README, "bash") for line in block.splitlines()]
    whole = [line for line in lines if line.startswith("python3 -m venv ")]
    tests = [line for line in whole if "pytest" in line]
    assert len(tests) == 1
    assert [line for line in whole if "pixprompt train" in line and "--data digits" in line]
    assert tests[0] in (ROOT / ".ci/run").read_text("utf-8").splitlines()


def test_readme_is_finished() -> None:
    assert re.findall(r"\b(?:DEMO_[A-Z]+|TODO|FIXME|XXX|TBD)\b", MANUAL) == []


def missing_links(text: str, folder: Path = ROOT) -> list[str]:
    targets = re.findall(r"\]\(([^)#]+)", text)
    return [target for target in targets if "://" not in target and not (folder / target).exists()]


def test_links_and_pictures_lead_somewhere() -> None:
    for name in ("README.md", "experiments/README.md", *GUIDES):
        assert missing_links((ROOT / name).read_text("utf-8"), (ROOT / name).parent) == []
    assert "![" in README
    assert missing_links("[a](no/such/file.md)") == ["no/such/file.md"]  # negative control


def newest(changelog: str) -> str:
    return re.findall(r"^## \[?(\d[^\]\s]*)", changelog, re.MULTILINE)[0]


def test_the_changelog_starts_with_this_version() -> None:
    assert newest((ROOT / "CHANGELOG.md").read_text("utf-8")) == pixprompt.__version__
    assert newest("# C\n## [0.2.0] - x\n## [0.1.0]") == "0.2.0"


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.MULTILINE))
    named |= set(re.findall(r"^make ([a-z-]+)", (ROOT / ".ci/run").read_text("utf-8"), re.MULTILINE))
    assert {"check", "test", "fix"} <= named <= targets


@pytest.mark.parametrize("where", sorted(where for places in REGISTRIES.values() for where in places))
def test_every_entry_of_every_registry_has_one_line(where: str) -> None:
    lines = registry(where).describe()
    assert lines
    for name, line in lines.items():
        assert 10 <= len(line) <= 120, name
        assert "\n" not in line, name
