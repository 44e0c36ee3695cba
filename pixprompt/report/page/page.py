"""The page: one HTML file with its style and pictures inside, which loads nothing and runs nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from ...core import ConfigError
from ...engine import Reporter, Silent
from ...files import make_folder, write_bytes
from ...version import __version__
from ..evidence import Evidence, Options, examine
from ..run_files import RunFiles, read_runs
from .compare import anchor, comparison
from .markup import Html, element, join
from .sections import Section, run_sections, summary
from .words import count

__all__ = ["Report", "write_report"]


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        path: The page.
        num_bytes: Its size.
        runs: Names of the runs.
        queries: Images that models were asked for it.
        skipped: Run -> what is missing -> why.
    """

    path: Path
    num_bytes: int
    runs: tuple[str, ...]
    queries: int
    skipped: dict[str, dict[str, str]]


def write_report(
    runs: Sequence[str | Path], *, out: str | Path, options: Options | None = None, reporter: Reporter | None = None
) -> Report:
    """Writes the page of one or several run directories; the same runs give the same page.

    Args:
        runs: Run directories, at least one.
        out: The HTML file.
        options: What may be asked; `queries` is the limit for all runs together.
        reporter: Hears about progress.

    Raises:
        ConfigError: There is no run, or a folder is none.
    """
    if not runs:
        raise ConfigError("name at least one run directory.")
    options, reporter, path = options or Options(), reporter or Silent(), Path(out)
    found = read_runs(runs)
    told: list[tuple[RunFiles, Evidence]] = []
    for run in found:
        told.append((run, examine(run, options, reporter)))
        if options.queries is not None:
            options = replace(options, queries=options.queries - told[-1][1].queries)
    content = _page(told).encode("utf-8", "replace")  # file names may hold what is no text
    make_folder(path.absolute().parent)
    write_bytes(path, content)
    return Report(
        path=path,
        num_bytes=len(content),
        runs=tuple(run.name for run in found),
        queries=sum(evidence.queries for _, evidence in told),
        skipped={run.name: dict(evidence.skipped) for run, evidence in told},
    )


def _page(told: Sequence[tuple[RunFiles, Evidence]]) -> str:
    runs = [run for run, _ in told]
    title = runs[0].title if len(runs) == 1 else f"{len(runs)} runs compared"
    body = _single(*told[0]) if len(runs) == 1 else _several(told)
    return "<!DOCTYPE html>\n" + element(
        "html", _head(title), element("body", element("main", *body), _footer(runs)), lang="en"
    )


def _head(title: str) -> Html:
    style = files(__package__).joinpath("look.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{title} · pixprompt report"),
        element("style", Html(style)),
    )


def _single(run: RunFiles, evidence: Evidence) -> Iterable[Html]:
    sections = list(run_sections(run, evidence))
    yield element("h1", run.title)
    yield _lead(run, "")
    yield summary(run)
    yield _contents((section.key, section.title) for section in sections)
    yield from (_placed(section, section.key, "h2") for section in sections)


def _several(told: Sequence[tuple[RunFiles, Evidence]]) -> Iterable[Html]:
    runs = [run for run, _ in told]
    yield element("h1", f"{len(runs)} runs compared")
    yield element("p", "Side by side, then one after the other.", class_="lead")
    yield _contents([("comparison", "Comparison"), *((anchor(run), run.name) for run in runs)])
    yield _placed(Section("comparison", "Comparison", comparison(runs)), "comparison", "h2")
    for run, evidence in told:
        parts = [_lead(run, f"{run.title}, "), summary(run)]
        parts += [_placed(part, f"{anchor(run)}-{part.key}", "h3") for part in run_sections(run, evidence)]
        yield _placed(Section(anchor(run), run.name, join(parts)), anchor(run), "h2")


def _lead(run: RunFiles, title: str) -> Html:
    told = f"method {run.result.method}, seed {run.result.seed}" if run.result is not None else "not finished"
    return element("p", f"Run “{run.name}” · {title}{told}.", class_="lead")


def _contents(places: Iterable[tuple[str, str]]) -> Html:
    links = (element("li", element("a", title, href=f"#{key}")) for key, title in places)
    return element("nav", element("ul", *links), aria_label="Contents")


def _placed(section: Section, place: str, heading: str) -> Html:
    return element("section", element(heading, section.title, id=place), section.body, aria_labelledby=place)


def _footer(runs: Sequence[RunFiles]) -> Html:
    told = f"pixprompt {__version__}, {count(len(runs))} run(s). This page holds all that it shows and loads nothing."
    return element("footer", told)
