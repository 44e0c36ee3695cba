"""The entry point: exit codes, messages, and what is not imported."""

from __future__ import annotations

import importlib
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from pixprompt import __version__
from pixprompt.cli import commands, listings, main
from pixprompt.core import ConfigError, DataError, UnknownName
from pixprompt.registry import Registry

from ..images import make_prompt, picture

NAMES = (
    *("train", "evaluate", "apply", "predict", "diagnose", "study", "bench", "segment", "serve", "proxy", "watch"),
    *(
        "ui",
        "report",
        "pictures",
        "ledger",
        "keys",
        "trust",
        "inspect",
        "export",
        "push",
        "pull",
        "models",
        "datasets",
        "templates",
    ),
    *("outputs", "methods", "optimizers", "protocols"),
)


def run(*arguments: str, code: str = "", **options: object) -> subprocess.CompletedProcess[str]:
    start = code or "import sys; from pixprompt.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", start, *arguments]
    return subprocess.run(command, capture_output=True, text=True, **options)  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """The command `apply` now raises what the test puts into the list."""
    errors: list[BaseException] = []

    @click.command()
    def fail() -> None:
        raise errors[0]

    monkeypatch.setattr(type(commands), "get_command", lambda self, ctx, name: fail)
    return errors


def test_help_lists_every_command_in_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.split("Commands:\n")[1].splitlines()
    assert [line.split()[0] for line in lines] == list(NAMES)
    assert main(["-h"]) == 0


@pytest.mark.parametrize("name", NAMES)
def test_every_command_can_be_imported_and_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: pixprompt {name} ")
    assert "--json" in out or "COMMAND" in out
    assert "\x1b" not in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"pixprompt {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["aply"], "no command 'aply'. Did you mean 'apply'? Known: train,"),
        (["apply"], "Missing argument 'PROMPT.png|RUN|hf:OWNER/NAME'"),
        (["apply", "p.png", "."], "Missing option '--out'"),
        (["inspect", "p.png", "--jsn"], "--jsn"),
        (["--nothing"], "--nothing"),
    ],
)
def test_wrong_usage_is_2_with_the_usage_on_stderr(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Usage: pixprompt" in captured.err
    assert words in captured.err


def test_without_arguments_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) in (0, 2)  # click 8.1 and 8.2 differ
    captured = capsys.readouterr()
    assert "Commands:" in captured.out + captured.err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DataError("no images."), 1, "Error: no images.\n"),
        (ConfigError("bad option."), 2, "Error: bad option.\n"),
        (UnknownName("unknown model 'x'."), 2, "Error: unknown model 'x'.\n"),
        (click.ClickException("no."), 1, "Error: no.\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (KeyboardInterrupt("interrupted after epoch 3"), 130, "interrupted after epoch 3\n"),
        (click.exceptions.Exit(3), 3, ""),
        (
            ZeroDivisionError("two\nlines"),
            1,
            "Error: unexpected ZeroDivisionError: two lines (set PIXPROMPT_DEBUG=1 to see the traceback).\n",
        ),
        (EOFError("cut"), 1, "Error: unexpected EOFError: cut (set PIXPROMPT_DEBUG=1 to see the traceback).\n"),
    ],
)
def test_every_error_has_its_code_and_one_line(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str
) -> None:
    failing.append(error)
    assert main(["apply"]) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err.lstrip("\n")) == ("", message)


def test_the_traceback_is_shown_on_request(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing.append(ZeroDivisionError("why"))
    monkeypatch.setenv("PIXPROMPT_DEBUG", "1")
    assert main(["apply"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "module", "attributes"),
    [
        ("models", "models", "MODELS"),
        ("datasets", "data", "DATASETS"),
        ("templates", "templates", "TEMPLATES"),
        ("outputs", "outputs", "OUTPUTS"),
        ("methods", "adapters", "METHODS"),
        ("optimizers", "optimizers", "OPTIMIZERS QUERY_OPTIMIZERS"),
    ],
)
def test_a_listing_prints_its_registry(
    name: str, module: str, attributes: str, capsys: pytest.CaptureFixture[str]
) -> None:
    home = importlib.import_module(f"pixprompt.{module}")
    registries: list[Registry[object]] = [getattr(home, attribute) for attribute in attributes.split()]
    assert main([name, "--json"]) == 0
    lines = json.loads(capsys.readouterr().out)
    assert lines == {entry: line for registry in registries for entry, line in registry.describe().items()}
    assert lines
    assert all(line and "\n" not in line for line in lines.values())
    assert main([name]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(lines)


def test_the_listings_are_the_ones_of_the_interface() -> None:
    assert set(listings.__all__) < set(NAMES)


def test_an_empty_registry_is_an_empty_listing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    templates = importlib.import_module("pixprompt.templates")
    monkeypatch.setattr(templates, "TEMPLATES", Registry("template"))
    assert main(["templates"]) == 0
    assert main(["templates", "--json"]) == 0
    assert capsys.readouterr().out == "{}\n"


_LIGHT = """
import sys
import numpy, PIL.Image
before = len(sys.modules)
from pixprompt.cli import main
code = main(sys.argv[1:])
print(len(sys.modules) / before, file=sys.stderr)
heavy = {"torch", "torchvision", "timm", "open_clip", "matplotlib", "requests", "sklearn", "scipy", "tqdm"}
found = heavy & set(sys.modules)
sys.exit(f"imported {found}" if found else code)
"""


def test_help_inspect_and_apply_import_nothing_heavy_and_little_beside_numpy_and_pillow(tmp_path: Path) -> None:
    prompt = tmp_path / "prompt.png"
    make_prompt().save(prompt)
    picture().save(tmp_path / "a.png")
    for arguments in (
        ["--help"],
        ["apply", "--help"],
        ["models"],
        ["outputs", "--json"],
        ["inspect", str(prompt)],
        ["apply", str(prompt), str(tmp_path / "a.png"), "--out", str(tmp_path / "out")],
    ):
        process = run(*arguments, code=_LIGHT)
        assert process.returncode == 0, process.stderr
        assert 1 < float(process.stderr) < 2  # times as many modules: a start costs what it loads
    assert run("--help", code="import tqdm\n" + _LIGHT).returncode == 1  # negative control


_NO_TORCH = """
import sys
from pixprompt.cli import main
for line in sys.argv[1:]:
    code = main(line.split())
    if code or "torch" in sys.modules:
        sys.exit(f"{line}: exit code {code}, imported torch: {'torch' in sys.modules}")
"""


def test_the_help_of_a_command_and_every_listing_import_no_torch() -> None:
    first_listing = NAMES.index("models")
    process = run(*(f"{name} --help" for name in NAMES[:first_listing]), *NAMES[first_listing:], code=_NO_TORCH)
    assert process.returncode == 0, process.stderr


def test_a_command_that_would_import_torch_is_noticed() -> None:
    process = run("--help", code="import sys; sys.modules['torch'] = sys\n" + _NO_TORCH)
    assert process.returncode == 1
    assert "--help: exit code 0, imported torch: True" in process.stderr


def test_a_package_that_is_not_installed_is_named_with_its_command(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"))
    assert main(["apply"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: this needs the package torch, which is not installed. pip install 'torch>=")
    failing[:] = [ModuleNotFoundError("No module named 'no_requirement'", name="no_requirement")]
    assert main(["apply"]) == 1
    assert "unexpected ModuleNotFoundError" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_reader_that_leaves_is_no_reason_for_a_traceback(tmp_path: Path) -> None:
    make_prompt().save(tmp_path / "prompt.png")
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", "import sys; from pixprompt.cli import main; sys.exit(main())"]
    for arguments in (["inspect", str(tmp_path / "prompt.png")], ["--help"]):
        process = subprocess.run([*command, *arguments], stdout=writing, stderr=subprocess.PIPE, text=True)
        assert (process.returncode, process.stderr) == (1, "")
    os.close(writing)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_under_stdout_is_reported() -> None:
    command = [sys.executable, "-c", "import sys; from pixprompt.cli import main; sys.exit(main())", "--help"]
    with open("/dev/full", "w") as full:
        process = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert process.returncode == 1
    assert "No space left on device" in process.stderr
    assert "Traceback" not in process.stderr


def test_a_warning_that_cannot_be_written_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    def describe(registry: object) -> dict[str, str]:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", Full())
            logging.getLogger("pixprompt.anything").warning("the disk is full")
        return {}

    monkeypatch.setattr(Registry, "describe", describe)
    before = list(logging.getLogger("pixprompt").handlers)
    assert main(["methods"]) == 0
    assert logging.getLogger("pixprompt").handlers == before
