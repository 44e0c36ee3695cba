"""The pages: what the files of runs hold, filled into templates that escape it."""

from __future__ import annotations

import io
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, TemplateError
from PIL import Image

from ..core import ConfigError, PixpromptError
from ..ledger.summary import read_ledger
from ..prompt import Committee, Prompt
from ..report.evidence import Evidence
from ..report.page.comparison import comparison
from ..report.page.environment import environment, png_uri
from ..report.page.numbers import summary
from ..report.page.sections import Section, render, sections_of
from ..report.run_files import RunFiles, read_runs
from ..version import __version__
from .follow import progress
from .runs import RunsFolder, Signature, signature, state_of
from .trial import Trial

__all__ = ["Pages"]

_OF_MODELS = {"images", "saliency", "confusion", "points", "preview"}
"""Sections of a report that query the model or read the data; the run's own pictures stand for them."""
_OF_RESULTS = {"ladder", "prompt", "adapter", "search", "curves", "spending", "mapping", "files"}
"""Sections of a run that is finished."""
_PICTURES = {
    "preview.png": "The prompt, some test images without and with it, and what is predicted, drawn as the run ended.",
    "student.png": "The student of the run: accuracy against the price of a prediction.",
}
_EVIDENCE = Evidence(skipped={"model": "this page queries no model for it."})
_THUMBNAIL = 192
_CACHED = 16


class Pages:
    """Makes the pages, from files alone; those of runs in one thread."""

    def __init__(self, runs: RunsFolder) -> None:
        self._runs = runs
        self._sections = lru_cache(_CACHED)(self._sections_of)

    def entrance(self) -> str:
        """Returns the page of a browser that is not let in yet."""
        return _render("entrance.html")

    def refusal(self, reason: str) -> str:
        """Returns a page that says why there is no other."""
        return self._page("refusal.html", reason=reason)

    def runs(self) -> str:
        """Returns the list of runs."""
        lines = self._runs.lines()
        finished = [self._runs.typed(line.name) for line in lines if line.state == "finished"][:20]
        return self._page(
            "runs.html",
            lines=lines,
            ago=_when,
            command=f"pixprompt report {' '.join(finished)} --no-model" if finished else "pixprompt train --help",
        )

    def run(self, name: str) -> str:
        """Returns the page of a run.

        Raises:
            ConfigError: There is no run of that name.
        """
        run, path = self._runs.run(name), self._runs.path(name)
        with _expected(name):
            return self._run(name, run, path)

    def _run(self, name: str, run: RunFiles, path: Path) -> str:
        state, typed = state_of(path), self._runs.typed(name)
        report = f"pixprompt report {typed} --no-model"
        commands = {
            "prompt": f"pixprompt inspect {self._runs.typed(name, 'prompt.png')}",
            "settings": f"pixprompt train --config {self._runs.typed(name, 'config.json')}",
            "files": f"ls {typed}",
        }
        return self._page(
            "run.html",
            name=name,
            run=run,
            state=state,
            overview=render("summary", lambda: summary(run)) if run.result else "",
            progress=progress(run, state),
            can_try=run.result is not None and (run.white_box or run.committee is not None),
            sections=[(each, commands.get(each.key, report)) for each in self._sections(name, signature(path))],
            pictures=[(file, text) for file, text in _PICTURES.items() if (path / file).is_file()],
            ledger=self._ledger(path),
            typed=typed,
            history=self._runs.typed(name, "history.jsonl"),
            report=report,
        )

    def compare(self, names: Sequence[str]) -> str:
        """Returns the page that compares runs.

        Raises:
            ConfigError: They are fewer than two, or there is no run of a name.
        """
        names = list(dict.fromkeys(names))
        if len(names) < 2:
            raise ConfigError("choose two runs or more in the list.")
        runs = read_runs([self._runs.path(name) for name in names])
        by_folder = dict(zip((run.folder for run in runs), names, strict=True))
        compared = render("comparison", lambda: comparison(runs, lambda run: _link("/run", name=by_folder[run.folder])))
        with _expected("one of the runs"):
            return self._page(
                "compare.html",
                runs=list(zip(names, runs, strict=True)),
                comparison=compared,
                command=f"pixprompt report {' '.join(map(self._runs.typed, names))} --no-model",
            )

    def try_prompt(self) -> str:
        """Returns the page where a prompt file and an image are dropped."""
        return self._page("try.html", lines=[line for line in self._runs.lines() if line.has_prompt])

    def dropped(self, name: str, committee: Committee, file: str) -> str:
        """Describes a prompt file that was dropped, with a place to drop images on it."""
        return _render(
            "prompt.html",
            name=name,
            file=_file_name(file, "prompt.png"),
            quoted=shlex.quote(_file_name(file, "prompt.png")),
            committee=committee,
            pages=committee.pages,
            picture=png_uri(_stretched(committee.pages[0])),
        )

    def trial(self, trial: Trial, run: str | None, file: str, source: str = "") -> str:
        """Shows an image under a prompt, and what the model says.

        Args:
            trial: What came of it.
            run: Name of the run; None for a prompt file.
            file: Name of the image file.
            source: Name of the prompt file.
        """
        image, prompt = _file_name(file, "photo.jpg"), _file_name(source, "prompt.png")
        typed, whole = shlex.quote(prompt), shlex.quote(prompt)
        if run is not None:
            typed, whole = self._runs.typed(run, "prompt.png"), self._runs.typed(run)
        predict = f"pixprompt predict {whole} {shlex.quote(image)}"
        commands = [f"pixprompt apply {typed} {shlex.quote(image)} --out prompted"] if trial.steps else []
        commands += [predict, *([f"{predict} --no-prompt"] if trial.can_compare else [])]
        steps = [
            (step, png_uri(step.canvas), None if (step.canvas == step.prompted).all() else png_uri(step.prompted))
            for step in trial.steps
        ]
        stem = Path(image).stem or "photo"
        return _render("trial.html", trial=trial, steps=steps, commands=commands, image=image, stem=stem)

    def thumbnail(self, name: str) -> bytes:
        """Returns a small PNG of a run's prompt, its colours stretched.

        Raises:
            ConfigError: There is none.
        """
        run = self._runs.run(name)
        if not run.prompt_kept:
            raise ConfigError(f"the run {name!r} has no prompt.")
        picture, buffer = Image.fromarray(_stretched(run.pages[0])), io.BytesIO()
        picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
        picture.save(buffer, "PNG")
        return buffer.getvalue()

    def _sections_of(self, name: str, current: Signature) -> list[Section]:
        run = self._runs.run(name)
        skipped = {*_OF_MODELS, *(() if run.diagnosis else ("diagnostics",))}
        if not (run.folder / "result.json").exists():
            skipped |= _OF_RESULTS
        return list(sections_of(run, _EVIDENCE, skipped))

    def _ledger(self, path: Path) -> dict[str, Any] | str | None:
        """Returns what the ledger of a run says, or why it cannot be read; None where there is none."""
        file = path / "ledger.sqlite"
        if not file.exists():
            return None
        try:
            return read_ledger(file)
        except PixpromptError as error:
            return str(error)

    def _page(self, template: str, **values: Any) -> str:
        return _render(template, folder=str(self._runs.folder), version=__version__, **values)


@contextmanager
def _expected(name: str) -> Iterator[None]:
    """Words what goes wrong with files that somebody else wrote.

    Raises:
        ConfigError: They do not hold what was expected.
    """
    try:
        yield
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError, TemplateError) as error:
        raise ConfigError(f"{name} is damaged: it does not hold what was expected ({error}).") from error


@cache
def _environment() -> Environment:
    """Returns the environment of the report, with the templates beside this file before its own."""
    base = environment()
    return base.overlay(loader=ChoiceLoader([loader for loader in (PackageLoader(__package__), base.loader) if loader]))


def _render(template: str, **values: Any) -> str:
    text = _environment().get_template(template).render(**values)
    return text.encode("utf-8", "replace").decode()  # file names may hold what is no text


def _link(path: str, **values: str) -> str:
    from urllib.parse import urlencode

    return f"{path}?{urlencode(values)}"


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _file_name(name: str, default: str) -> str:
    """Returns the last part of a file's name as a browser says it, as far as it can be printed."""
    last = "".join(filter(str.isprintable, name.replace("\\", "/").rpartition("/")[2]))[:200]
    return last if last and not last.startswith("-") else default


def _stretched(prompt: Prompt) -> Any:
    from ..plots import amplified

    return amplified(prompt)[0]
