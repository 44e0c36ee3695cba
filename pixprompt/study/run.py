"""Studies: the same run several times with one setting varied, its raw results, a table and a plot.

They repeat section 6 of the VP paper (arXiv 2203.17274) for any model and data: which texts, mappings, templates and
sizes make a prompt gain most. What is finished is not run again, and what was interrupted is continued.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..bench.pools import InProcess
from ..bench.runs import Run, machine
from ..bench.store import ResultStore, run_all
from ..core import ConfigError, Model
from ..data import Data
from ..engine.config.train_config import TrainConfig
from ..engine.progress import Reporter, Silent
from ..engine.result import none_kept
from ..files import write_bytes
from ..plots import save_png
from ..plots.study import Point, study_figure
from . import KINDS
from .rows import ROWS, Row, StudySettings

__all__ = ["machine", "points", "study", "table", "table_row"]

Line = Mapping[str, Any]
_AXES = {
    "text": "accuracy of the text without a prompt",
    "mapping": "mapping",
    "templates": "template",
    "sizes": "size of the template in pixels, and parameters of the prompt",
}
"""What a study varies, as its plot says it."""


def study(
    kind: str,
    config: TrainConfig,
    *,
    out: str | Path,
    values: Sequence[str] = (),
    reporter: Reporter | None = None,
    model: Model | None = None,
    data: Data | None = None,
) -> list[dict[str, Any]]:
    """Runs a study and writes `results.jsonl`, `table.md`, `plot.png` and the run directories below `runs`.

    Args:
        kind: "text", "mapping", "templates" or "sizes".
        config: Everything that is not varied.
        out: Folder of the study; one that holds a part of it is continued.
        values: What is varied, as texts: text templates; "kept", "swapped" and "random"; names of templates; sizes in
            pixels. None of them takes the study's own.
        model: Used instead of `config.model.name`.
        data: Used instead of `config.data.name`.

    Returns:
        One line per run: name, settings, name of the run directory, machine and result object.

    Raises:
        ConfigError: The study does not exist, or a value does not fit it.
    """
    if kind not in ROWS:
        raise ConfigError(f"no study {kind!r}; known: {', '.join(KINDS)}.")
    store, reporter = ResultStore(Path(out)), reporter or Silent()
    rows = ROWS[kind](StudySettings(config, tuple(values), store.folder, reporter, model, data))
    runs = [_run(row, config) for row in rows]
    pool = InProcess(strict=True, reporter=reporter, model=model, data=data)
    run_all(runs, store, pool, store.folder / "runs", reporter=reporter)
    results = store.results
    lines = [{**results[run.key], "name": run.name} for run in runs]
    write_bytes(store.folder / "table.md", f"{table(lines)}\n".encode())
    subject = " on ".join((lines[0]["result"]["model"], lines[0]["result"]["data"])) if lines else ""
    figure = study_figure(points(lines), kind=kind, varied=_AXES[kind], subject=subject)
    save_png(figure, store.folder / "plot.png")
    return lines


def _run(row: Row, config: TrainConfig) -> Run:
    """Returns the run of a row: its folder is named after all settings, and after what a mapping file says."""
    settings = config.with_values(**row.settings)
    facts = settings.with_absolute_paths().to_json()
    if row.identity is not None:
        facts["mapping"] = row.identity  # wherever the file lies
    return Run(row.name, "train", settings.options(), row.settings, facts)


def points(lines: Iterable[Line]) -> list[Point]:
    """Returns what the plot shows of each line: test accuracy without a prompt and through the re-read PNG."""
    return [
        _point(line) for line in lines if _test(line, "no_prompt") is not None and _test(line, "prompt_png") is not None
    ]


def _test(line: Line, rung: str) -> float | None:
    """Returns the test accuracy of a rung; None where it was not scored: the budget of a run may pay no test."""
    score = line["result"]["accuracy"].get(rung)
    return None if score is None else score["test"]


def _point(line: Line) -> Point:
    result = line["result"]
    after = result["accuracy"]["prompt_png"]
    return Point(
        name=line["name"],
        before=result["accuracy"]["no_prompt"]["test"],
        after=after["test"],
        ci95=tuple(after["ci95"]),
        best_output=_test(line, "output_only"),
        size=line["settings"].get("size") or 0,
        parameters=result["parameters"],
        none_kept=_saved_rung(result),
    )


def _saved_rung(result: Mapping[str, Any]) -> str | None:
    """Says why no prompt was kept; None where one was."""
    return none_kept(result.get("searched", True)) if result["best"] == "none" else None


def table(lines: Iterable[Line]) -> str:
    """Returns results as a Markdown table, in the order in which they were run."""
    head = "| run | no prompt | best output alone | prompt, float | prompt, PNG: val | test (95%) | kept | seconds |"
    return "\n".join([head, "|---|---|---|---|---|---|---|---|", *map(table_row, lines)])


def table_row(line: Line) -> str:
    """Returns one line of the table: test accuracies, and the validation accuracy that choices are made by."""
    result = line["result"]
    none, alone, trained, png = (
        result["accuracy"].get(rung) or {} for rung in ("no_prompt", "output_only", "prompt_float", "prompt_png")
    )
    interval = "" if png.get("ci95") is None else f" ({png['ci95'][0]:.3f}-{png['ci95'][1]:.3f})"
    cells = [
        _number(none.get("test")),
        _number(alone.get("test")) + (f" ({alone['output']})" if alone else ""),
        _number(trained.get("test")),
        _number(png.get("val")),
        _number(png.get("test")) + interval,
        _saved_rung(result) or result["best"],
        f"{result['seconds']:.0f}",
    ]
    name = str(line["name"]).replace("|", "\\|")
    return f"| {name} | {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
