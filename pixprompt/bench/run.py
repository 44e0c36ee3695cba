"""`bench`: runs the cells of a benchmark, collects what they say, and draws it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core import ConfigError, DataError, PixpromptError
from ..data import load_data
from ..engine.config.train_config import TrainConfig
from ..engine.inputs.trust import check_trusted
from ..engine.progress import Reporter, Silent
from ..files import make_folder, write_bytes
from .benchmark import Benchmark, Cell
from .catalogue import is_included, read_benchmark
from .draw import draw
from .pools import InProcess, OnRay, Pool, Processes
from .runs import Run
from .store import ResultStore, run_all
from .summary import Summary, summarize

__all__ = ["ASSETS", "BenchResult", "Update", "bench", "default_out", "plan", "runs_of"]

ASSETS = "PIXPROMPT_ASSETS"
"""Names the folder that "{assets}" stands for in a benchmark."""
_DIAGNOSE = ("data", "reference", "limit", "inception_file", "lpips_file", "clip", "device", "workers")
"""Words of a diagnosis."""
Line = Mapping[str, Any]


@dataclass(frozen=True)
class Update:
    """How far a benchmark is."""

    summary: Summary
    running: tuple[str, ...]
    failures: tuple[Line, ...]


@dataclass(frozen=True)
class BenchResult:
    """What a benchmark has come to.

    Attributes:
        benchmark: Which one, in its miniature where that ran.
        out: The folder with `results.jsonl`, `failures.jsonl`, `table.md`, `figure.png` and `index.html`.
        failures: The last failure of each run that has no result.
    """

    benchmark: Benchmark
    out: Path
    summary: Summary
    failures: tuple[Line, ...]


def default_out(name: str | Path, miniature: bool) -> Path:
    """Returns the folder of a benchmark that is given none."""
    return Path("benches") / (Path(name).stem + ("-miniature" if miniature else ""))


def bench(
    name: str | Path,
    *,
    miniature: bool = False,
    out: str | Path | None = None,
    runs: str | Path | None = None,
    only: Sequence[str] = (),
    jobs: int = 1,
    ray: str | None = None,
    collect: bool = False,
    reporter: Reporter | None = None,
    on_update: Callable[[Update], None] | None = None,
) -> BenchResult:
    """Runs a benchmark, continues one that was stopped, and writes its table, figure and page.

    Every cell is a run of `train` (or of `segment` or `diagnose`) in a folder of its own, which is resumed, and which
    other benchmarks that need the same run share. One that fails is tried once more, and kept apart.

    Args:
        name: Of a benchmark of this package, or a file of one.
        miniature: Runs its small version, on what is at hand.
        out: Folder of the results; `default_out` by default.
        runs: Folder of the runs; "runs" beside `out` by default.
        only: Runs and shows only the cells whose names have all of these texts in them.
        jobs: Runs at a time, each in a process of its own where it is not 1.
        ray: Address of a Ray cluster that performs the runs; "local" for one on this machine.
        collect: Draws from the results that there are, and runs nothing.
        reporter: Receives the progress of runs in this process.
        on_update: Is called whenever a run begins or ends.

    Raises:
        ConfigError: The benchmark cannot be read, or a cell of it makes no sense.
    """
    benchmark = read_benchmark(name)
    benchmark = benchmark.miniature() if miniature else benchmark
    folder = Path(out or default_out(name, miniature))
    place = Path(runs or folder.parent / "runs")
    cells, places = _chosen(benchmark, only), _places(place)
    planned = runs_of(benchmark, cells, places)
    if not is_included(str(name)):
        for run in planned:
            check_trusted(run.options, name)
    store = ResultStore(folder, {path: f"{{{key}}}" for key, path in places.items()})
    keyed = [(cell, run.key) for cell, run in zip(cells, planned, strict=True)]

    def update(running: Iterable[Run]) -> None:
        if on_update is not None:
            now = summarize(benchmark, keyed, store.results)
            on_update(Update(now, tuple(run.name for run in running), tuple(store.failures.values())))

    if not collect:
        for path, images in {_list_path(cell, places): cell.images for cell in cells if cell.images}.items():
            _write_list(_fill(images.folder, places), path, images.train, images.test)
        update(())
        pool: Pool = InProcess(reporter=reporter) if jobs == 1 else Processes(jobs)
        if ray is not None:
            pool = OnRay(ray, jobs if jobs > 1 else None)
        run_all(planned, store, pool, place, reporter=reporter or Silent(), on_change=update)
    summary = summarize(benchmark, keyed, store.results)
    failures = tuple(line for key, line in store.failures.items() if key in {key for _, key in keyed})
    draw(benchmark, keyed, store.results, summary, failures, folder, place)
    return BenchResult(benchmark, folder, summary, failures)


def _chosen(benchmark: Benchmark, only: Sequence[str]) -> list[Cell]:
    cells = [cell for cell in benchmark.cells() if all(text.lower() in cell.name.lower() for text in only)]
    if not cells:
        raise ConfigError(f"no cell of {benchmark.name!r} has {' and '.join(map(repr, only))} in its name.")
    return cells


def _places(runs: Path) -> dict[str, str]:
    """Returns what the names in braces of a benchmark stand for."""
    places = {"lists": str((runs / "lists").absolute())}
    if os.environ.get(ASSETS):
        places["assets"] = str(Path(os.environ[ASSETS]).absolute())
    return places


def runs_of(benchmark: Benchmark, cells: Sequence[Cell], places: Mapping[str, str]) -> list[Run]:
    """Returns the run of each cell; cells that read different numbers of one result have the same.

    Raises:
        ConfigError: A cell makes no sense, or a place that it names is not known.
    """
    distinct: dict[str, Run] = {}
    runs = []
    for cell in cells:
        try:
            run = _run(cell, places)
        except ConfigError as error:
            raise ConfigError(f"benchmark {benchmark.name}, {cell.name}: {error}") from error
        runs.append(distinct.setdefault(run.key, run))
    return runs


def _run(cell: Cell, places: Mapping[str, str]) -> Run:
    places = {**places, "data": cell.place.get("data", "")}
    options = {name: _fill(value, places) if isinstance(value, str) else value for name, value in cell.settings.items()}
    settings = dict(cell.settings)
    if cell.task == "diagnose":  # of images alone: it has no use for what trains on them
        TrainConfig(**{name: value for name, value in options.items() if name not in _DIAGNOSE})
        options, settings = ({key: each[key] for key in _DIAGNOSE if key in each} for each in (options, settings))
    if cell.task == "segment":
        from ..segmentation import SegmentConfig

        SegmentConfig.from_json(options, source=cell.name)
    elif cell.task == "train":
        TrainConfig(**options)
    images = cell.images and [cell.images.folder, cell.images.train, cell.images.test]
    words = [str(cell.settings.get(key, "")) for key in ("method", "data")]
    slug = "-".join([*(word.rpartition("/")[2].removesuffix(".csv") for word in words), f"seed{cell.seed}"])
    return Run(cell.name, cell.task, options, settings, [sorted(settings.items()), images], slug=slug)


def _list_path(cell: Cell, places: Mapping[str, str]) -> Path:
    return Path(_fill(cell.settings["data"].removeprefix("csv:"), places))


def _fill(text: str, places: Mapping[str, str]) -> str:
    if "{assets}" in text and "assets" not in places:
        raise ConfigError(f"it needs the folder with weights and images: set {ASSETS} to it.")
    for key, path in places.items():
        text = text.replace(f"{{{key}}}", path)
    return text


def plan(name: str | Path, *, miniature: bool = False, only: Sequence[str] = ()) -> dict[str, Any]:
    """Returns the cells and runs of a benchmark, and which of its data sets are not there; runs nothing.

    Raises:
        ConfigError: The benchmark cannot be read, or a cell of it makes no sense.
    """
    benchmark = read_benchmark(name)
    benchmark = benchmark.miniature() if miniature else benchmark
    cells = _chosen(benchmark, only)
    runs = {run.key: run for run in runs_of(benchmark, cells, _places(Path("runs")))}
    missing = {}
    for run in runs.values():
        data = str(run.settings.get("data", ""))
        if data not in missing and ":" not in data:
            missing[data] = _why_missing(data)
    return {
        "schema": 1,
        "benchmark": benchmark.name,
        "cells": len(cells),
        "runs": [run.name for run in runs.values()],
        "missing": [reason for reason in missing.values() if reason],
    }


def _why_missing(data: str) -> str:
    try:
        load_data(data)
    except PixpromptError as error:
        return str(error)
    return ""


def _write_list(folder: str | Path, path: Path, train: int, test: int) -> None:
    """Lists the first images of each class of PATH/train/<class> and PATH/test/<class>, as a csv: data set.

    Raises:
        DataError: There are no such folders.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("path", "label", "split"))
    for split, count in (("train", train), ("test", test)):
        root = Path(folder) / split
        if not root.is_dir():
            raise DataError(f"{folder} has no folder {split!r} of images by class.")
        for name in sorted(each.name for each in root.iterdir() if each.is_dir()):
            writer.writerows((image.absolute(), name, split) for image in sorted((root / name).iterdir())[:count])
    content = text.getvalue().encode()
    if not path.exists() or path.read_bytes() != content:
        make_folder(path.parent)
        write_bytes(path, content)
