"""The command line: parses, builds, calls, prints. A command's module is imported only when the command runs."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import click

from ..core import BudgetError, ConfigError, DoubtError, EndpointError, LimitError, PixpromptError
from ..registry import suggest
from ..requirements import missing_package
from ..version import __version__
from .allocator import keep_freed_memory
from .terminal import echo, printable

__all__ = ["commands", "keep_freed_memory", "main"]

_COMMANDS = {
    "train": ("learning.train:train", "Learn a prompt, or another adapter, and write a run directory."),
    "evaluate": ("prompts.evaluate:evaluate", "Score a saved prompt or run on a data set."),
    "apply": ("prompts.apply:apply", "Put a prompt on image files and folders."),
    "predict": ("prompts.predict:predict", "Put a prompt on images, call the model, print a label for each."),
    "diagnose": ("learning.diagnose:diagnose", "Say whether a prompt is worth its cost."),
    "study": ("learning.study:study", "Vary texts, mappings, templates or sizes."),
    "bench": ("learning.bench:bench", "Run a table or figure of a paper, published numbers beside."),
    "segment": ("learning.segment:segment", "Label every pixel, with prompts inside a transformer."),
    "serve": ("serving.serve:serve", "Serve a prompt with its model, or a bare model, over HTTP."),
    "proxy": ("serving.proxy:proxy", "Put a prompt inside the requests of other programs."),
    "watch": ("serving.watch:watch", "Give an alarm when the model behind a prompt has changed."),
    "ui": ("serving.ui:ui", "Show, compare and follow runs, and try prompts, on a local page."),
    "report": ("reports.report:report", "Write one HTML page about one or several runs."),
    "pictures": ("reports.pictures:pictures", "Draw what runs inside one model see, side by side."),
    "ledger": ("reports.ledger:ledger", "Show what was asked, answered, retried, in doubt and billed."),
    "keys": ("trust:keys", "Say which keys may be sent to which host."),
    "trust": ("trust:trust", "Say which code, hub models and places run folders may name."),
    "inspect": ("prompts.inspect_:inspect", "Show what a prompt file says about itself, its digests checked."),
    "export": ("prompts.export:export", "Write a prompt in a form that other languages read."),
    "push": ("prompts.sharing:push", "Upload a run to the Hugging Face Hub."),
    "pull": ("prompts.sharing:pull", "Copy a prompt from the Hugging Face Hub."),
    "models": ("models:models", "List the models with a short name; bundle one."),
    "datasets": ("datasets:datasets", "List data sets, say what is known about one, prepare it."),
    "templates": ("listings:templates", "List the geometries of a pixel prompt."),
    "outputs": ("listings:outputs", "List the ways from a model's answers to labels."),
    "methods": ("listings:methods", "List what can be learned."),
    "optimizers": ("listings:optimizers", "List the optimizers."),
    "protocols": ("listings:protocols", "List the ways to speak to a model behind a URL."),
}
"""Name -> (where the command is, below this package; its line in --help)."""
_CODES: dict[type[PixpromptError], int] = {
    ConfigError: 2,
    BudgetError: 3,
    LimitError: 3,
    EndpointError: 4,
    DoubtError: 5,
}
"""Exit codes of errors; 1 for all others."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names in the order of a first reading."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports one command."""
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(f".{module}", __name__), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command of the first argument, or says which name is close to it."""
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            known = ", ".join(_COMMANDS)
            raise click.UsageError(f"no command {name!r}.{suggest(name, _COMMANDS)} Known: {known}.", ctx)
        return super().resolve_command(ctx, args)


@click.group("pixprompt", cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.option(
    "--load", "codes", multiple=True, metavar="MODULE:NAME", help="Import a method, template or output of your own."
)
def commands(codes: tuple[str, ...]) -> None:
    """Learn a visual prompt for a model that you can only call, save it as a PNG, put it on any image."""
    if codes:
        from .own_code import load_own  # here only: nobody else pays for the registries

        for code in codes:
            load_own(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0 done, 1 failed, 2 wrong usage, 3 budget used up,
    4 the endpoint refuses, 5 answers in doubt, 130 interrupted, 143 terminated.

    Args:
        argv: The arguments after the program's name; by default those of the process.
    """
    terminated = threading.Event()
    try:
        with _warnings_shown(), _interrupted_by_sigterm(terminated):
            code = commands.main(argv, prog_name="pixprompt", standalone_mode=False)
        sys.stdout.flush()  # here, where a full disk or a closed pipe can still be reported
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        # Whoever read stdout has left. The interpreter flushes once more at its end: give it a place to write to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("PIXPROMPT_DEBUG") == "1" and not isinstance(error, KeyboardInterrupt):
            traceback.print_exc()
        code = _report(error)
        return 143 if code == 130 and terminated.is_set() else code


class _Stderr(logging.Handler):
    """Writes warnings of the library as lines, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        bars = getattr(sys.modules.get("tqdm"), "tqdm", None)
        line = printable(f"{record.levelname.lower()}: {record.getMessage()}")
        with suppress(OSError):  # a warning that cannot be written must not end what it warns about
            click.echo(line, err=True) if bars is None else bars.write(line, file=sys.stderr)


@contextmanager
def _warnings_shown() -> Iterator[None]:
    logger, handler = logging.getLogger("pixprompt"), _Stderr(logging.WARNING)
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            # The process is ours here: Pillow's remarks on odd but readable images would only frighten.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            yield
    finally:
        logger.removeHandler(handler)


@contextmanager
def _interrupted_by_sigterm(terminated: threading.Event) -> Iterator[None]:
    """Within, SIGTERM does what Ctrl-C does, and sets the event: batch systems and service managers send it."""

    def interrupt(number: int, frame: object) -> None:
        terminated.set()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _report(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return _interrupted(error)
    if isinstance(error, click.Abort):  # how click passes on a Ctrl-C, and an EOFError too
        if not isinstance(error.__cause__, EOFError):
            return _interrupted(error.__cause__)
        error = error.__cause__
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, PixpromptError):
        echo(f"Error: {error}", err=True)
        return _CODES.get(next((kind for kind in _CODES if isinstance(error, kind)), PixpromptError), 1)
    missing = missing_package(error) if isinstance(error, ModuleNotFoundError) else None
    if missing is not None:
        echo(f"Error: {missing}", err=True)
        return 1
    text = " ".join(str(error).split())
    echo(f"Error: unexpected {type(error).__name__}: {text} (set PIXPROMPT_DEBUG=1 to see the traceback).", err=True)
    return 1


def _interrupted(error: BaseException | None) -> int:
    echo(str(error or "") or "interrupted", err=True)
    return 130
