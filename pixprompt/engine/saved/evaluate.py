"""Scoring a saved prompt on a data set."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...canvas import Canvas
from ...core import ConfigError, Model
from ...data import CanvasSet, Data, load_data
from ..answers import Answered, Pixels, batches, query_canvases, reproducible, score, side_by_side
from ..budget.queries import query_counts
from ..config.train_config import TrainConfig
from ..opening import Calls
from ..parts import canvases_of
from ..report import Reporter, Silent
from ..result import RUNGS, Result, Score, peak_memory_mb, read_result
from .deploy import Deployed, deploy

__all__ = ["evaluate"]

_ALONE = "'no prompt' is read with the output transform of the file; the other rungs need the training images."
_SEVERAL = "Each prediction takes {0} queries, one under each view; the other rungs need the training images."


def evaluate(
    source: str | Path,
    *,
    model: str | Model | None = None,
    weights: str | None = None,
    data: str | Data | None = None,
    device: str = "auto",
    workers: int = 2,
    price_per_1000: float | None = None,
    reporter: Reporter | None = None,
    calls: Calls | None = None,
) -> Result:
    """Scores a saved prompt, as re-read from its file, on the validation and test splits of a data set.

    A run directory brings the other rungs of its ladder along; a file alone is compared with the images without it,
    read with the same output transform. Splits that are drawn are drawn with the prompt's own seed, so the images it
    learned from stay out of the test.

    Args:
        source: A prompt PNG or a run directory.
        model: See `deploy`.
        weights: See `deploy`.
        data: A name or a data set; with a run directory, that of the run by default.
        device: Where the model runs.
        workers: Threads that decode images.
        price_per_1000: To report the cost.
        reporter: Receives the progress.
        calls: See `deploy`; of a remote model, what the ledger holds is not asked again.

    Raises:
        BudgetError: A remote model would have to be asked more than the budget allows; what was answered is kept.
        ConfigError: No data set is named, or its classes are not those of the prompt.
    """
    began, reporter = time.perf_counter(), reporter or Silent()
    if price_per_1000 is not None:
        calls = replace(calls or Calls(), price_per_1000=price_per_1000)
    deployed = deploy(source, model=model, weights=weights, device=device, calls=calls)
    try:
        return _evaluate(deployed, Path(source), model, data, workers, price_per_1000, reporter, began)
    finally:
        deployed.close()


def _evaluate(
    deployed: Deployed,
    source: Path,
    model: str | Model | None,
    data: str | Data | None,
    workers: int,
    price_per_1000: float | None,
    reporter: Reporter,
    began: float,
) -> Result:
    prompt, config = deployed.prompt, deployed.config
    own = config is not None and data is None and model is None
    if data is None and config is not None:
        data = config.data.name
    if data is None:
        raise ConfigError("a prompt PNG does not name its data; say which with --data.")
    if isinstance(data, str):
        data = load_data(data, seed=prompt.seed, shots=config.data.shots if config else None)
    _check_classes(data.classes, deployed.output.classes)
    white_box = config is not None and config.method.white_box
    with reproducible():
        jobs = _jobs(deployed, data, workers, reporter, alone=not own and not white_box)
        _check_budget(deployed, jobs, reporter)
        rungs, counts = _rungs(deployed, jobs, reporter)
    notes = [_ALONE if len(prompt.pages) == 1 else _SEVERAL.format(len(prompt.pages))]
    saved = read_result(source / "result.json") if own or white_box else None
    if white_box:
        rungs, notes = _of_adapter(rungs, config), ["The adapter was scored as re-read from its file."]
    if own and saved:
        again = "prompt_float" if white_box else "prompt_png"
        rungs = {**saved.accuracy, again: rungs[again]}
        notes = ["Only the last rung was scored again; the others are those of the run."]
    return Result(
        method=config.method.name if config else "pixel",
        model=deployed.model.spec.name,
        data=data.name,
        classes=data.classes,
        counts={"train": len(data.train), **counts},
        parameters=prompt.num_params,
        seed=prompt.seed,
        accuracy=rungs,
        queries=query_counts(deployed.model, price_per_1000),
        best="adapter" if white_box else "none" if prompt.is_empty else "prompt",
        seconds=time.perf_counter() - began,
        peak_memory_mb=peak_memory_mb(deployed.device),
        notes=[*notes, *deployed.model.notes],
        adapter=saved.adapter if saved else None,
    )


def _of_adapter(rungs: dict[str, Score | None], config: TrainConfig | None) -> dict[str, Score | None]:
    """Returns the score as that of an adapter, which is no PNG; after a search it has learned from val, too."""
    found = rungs["prompt_png"]
    if found is not None and config is not None and config.fit.grid_search:
        found = replace(found, val=None)
    return {**rungs, "prompt_float": found, "prompt_png": None}


@dataclass(frozen=True)
class _Job:
    """One rung on one split."""

    rung: str
    split: str
    canvases: CanvasSet
    overlay: Callable[[Pixels], Pixels] | None


def _jobs(deployed: Deployed, data: Data, workers: int, reporter: Reporter, *, alone: bool) -> list[_Job]:
    """Returns the rungs that a file alone can give."""
    pages, config = deployed.prompt.pages, deployed.config
    plain = Canvas.for_model(
        deployed.model.spec,
        crop_pct=config.data.crop if config else None,
        aspect=config.data.aspect if config else None,
    )
    if pages[0].canvas.fit == "resize" and pages[0].canvas.is_basic:
        plain = pages[0].canvas
    wanted: list[tuple[str, Canvas, Callable[[Pixels], Pixels] | None]] = []
    if alone and len(pages) == 1:
        wanted.append(("no_prompt", plain, None))
    wanted += [("prompt_png", page.canvas, page.overlay) for page in pages]
    return [
        _Job(rung, name, canvases_of(images, canvas, workers, reporter, f"read {name}"), overlay)
        for rung, canvas, overlay in wanted
        for name, images in (("val", data.val), ("test", data.test))
    ]


def _check_budget(deployed: Deployed, jobs: list[_Job], reporter: Reporter) -> None:
    """Makes sure, of a remote model, that all of it can be asked, before anything is; says how much that is."""
    model = deployed.model

    def prompted() -> Iterator[Pixels]:
        for job in jobs:
            for part in batches(len(job.canvases.labels), model.chunk):
                block = np.asarray(job.canvases.pixels[part])
                yield job.overlay(block) if job.overlay else block

    num_new = model.new_queries(prompted())
    model.announce(num_new, reporter.note)
    model.require(num_new)


def _rungs(deployed: Deployed, jobs: list[_Job], reporter: Reporter) -> tuple[dict[str, Score | None], dict[str, int]]:
    """Returns the rungs, and how many images of each split were answered."""
    rungs: dict[str, Score | None] = dict.fromkeys(RUNGS)
    answered: dict[str, dict[str, list[Answered]]] = {}
    for job in jobs:
        reporter.stage(f"score {job.split}", len(job.canvases.labels))
        views = answered.setdefault(job.rung, {}).setdefault(job.split, [])
        views.append(
            query_canvases(
                deployed.model,
                job.canvases,
                device=deployed.device,
                batch_size=deployed.model.chunk,
                overlay=job.overlay,
                reporter=reporter,
            )
        )
    known = {
        rung: {split: side_by_side(views).complete for split, views in each.items()} for rung, each in answered.items()
    }
    for rung, found in known.items():
        rungs[rung] = score(deployed.output, found["val"], found["test"])
    return rungs, {name: len(each.labels) for name, each in known["prompt_png"].items()}


def _check_classes(found: tuple[str, ...], expected: tuple[str, ...]) -> None:
    if tuple(found) == tuple(expected):
        return
    pairs = enumerate(itertools.zip_longest(expected, found, fillvalue="nothing"))
    index, (ours, theirs) = next(pair for pair in pairs if pair[1][0] != pair[1][1])
    raise ConfigError(
        f"the prompt tells {len(expected)} classes apart, the data set has {len(found)}; the first that differs is "
        f"number {index}: {ours!r} in the prompt, {theirs!r} in the data. They must agree, in this order."
    )
