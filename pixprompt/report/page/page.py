"""The page: one HTML file with its style and pictures inside, which loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ...core import ConfigError, PixpromptError
from ...engine.progress import Reporter, Silent
from ...files import make_folder, write_bytes
from ...version import __version__
from ..evidence import MAX_SHOWN, Evidence, ReportOptions
from ..run_files import RunFiles, read_runs
from ..sample import read_sample
from .comparison import anchor, comparison
from .environment import environment
from .numbers import summary
from .sections import render, sections_of

__all__ = ["Report", "collect_evidence", "write_report"]


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        queries: Images that models were queried about for it.
        skipped: Run -> what is missing -> why.
    """

    path: Path
    num_bytes: int
    runs: tuple[str, ...]
    queries: int
    skipped: dict[str, dict[str, str]]


def write_report(
    runs: Sequence[str | Path],
    *,
    out: str | Path,
    options: ReportOptions | None = None,
    reporter: Reporter | None = None,
) -> Report:
    """Writes the page of one or several run directories; the same runs give the same page.

    Args:
        options: What may be queried; `queries` is the limit for all runs together.

    Raises:
        ConfigError: There is no run, or a folder is none.
    """
    if not runs:
        raise ConfigError("name at least one run directory.")
    options, reporter, path = options or ReportOptions(), reporter or Silent(), Path(out)
    files = read_runs(runs)
    collected: list[tuple[RunFiles, Evidence]] = []
    for run in files:
        evidence = collect_evidence(run, options, reporter)
        collected.append((run, evidence))
        if options.queries is not None:
            options = replace(options, queries=options.queries - evidence.queries)
    content = _page(collected).encode("utf-8", "replace")  # file names may hold what is no text
    make_folder(path.absolute().parent)
    write_bytes(path, content)
    return Report(
        path=path,
        num_bytes=len(content),
        runs=tuple(run.name for run in files),
        queries=sum(evidence.queries for _, evidence in collected),
        skipped={run.name: dict(evidence.skipped) for run, evidence in collected},
    )


def _page(collected: Sequence[tuple[RunFiles, Evidence]]) -> str:
    """Fills the template: a run alone, or a comparison with every run below it."""
    runs = [run for run, _ in collected]
    several = len(runs) > 1
    return (
        environment()
        .get_template("page.html")
        .render(
            version=__version__,
            comparison=render("comparison", lambda: comparison(runs)) if several else None,
            runs=[_run(run, evidence, f"{anchor(run)}-" if several else "") for run, evidence in collected],
        )
    )


def _run(run: RunFiles, evidence: Evidence, prefix: str) -> dict[str, Any]:
    return {
        "name": run.name,
        "title": run.title,
        "anchor": anchor(run),
        "prefix": prefix,
        "result": run.result,
        "summary": render("summary", lambda: summary(run)),
        "sections": list(sections_of(run, evidence)),
    }


_WHITE_BOX = "what was learned inside a model changes no image; the model is not queried again."


def collect_evidence(run: RunFiles, options: ReportOptions, reporter: Reporter) -> Evidence:
    """Collects what the files of a run do not hold; what cannot be had is named with its reason."""
    if run.white_box:
        return Evidence(skipped={"model": _WHITE_BOX})
    if run.committee is None:
        return Evidence(skipped=dict.fromkeys(("images", "model"), f"prompt.png: {run.missing['prompt.png']}"))
    reason = "no model was queried (--no-model)."
    if len(run.pages) > 1:
        reason = f"a prediction takes up to {len(run.pages)} queries, one under each page; the ladder has the scores."
    elif options.use_model:
        if find_spec("torch") is not None:
            from ..query_model import query_model

            return query_model(run, options, reporter)
        reason = "PyTorch is missing: pip install torch."
    try:
        sample = read_sample(run, MAX_SHOWN, None, reporter)
    except PixpromptError as error:
        return Evidence(skipped={"model": reason, "images": f"the images of the run cannot be read: {error}"})
    return Evidence(sample, np.arange(len(sample.labels)), skipped={"model": reason})
