"""Scoring a saved prompt on a data set."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...canvas import Canvas, Pixels
from ...core import ConfigError, Model
from ...data import CanvasSet, Data, load_data, make_canvases
from ...ledger.querier import Rows
from ..config.train_config import TrainConfig
from ..inputs.opening import Calls
from ..inputs.trust import check_trusted
from ..progress import Reporter, Silent
from ..result import RUNGS, Change, Result, Score, paired_change, peak_memory_mb, query_counts, read_result, wilson
from .deploy import Deployed, deploy
from .saved_prompt import plain_canvas

__all__ = ["evaluate"]

_FILE_ALONE = "'no prompt' is read with the output transform of the file; the other rungs need the training images."
_SEVERAL = "Each prediction takes {0} queries; the other rungs need the training images."
_IN_DOUBT = "Images are asked under all {0} views only where the first answer leaves doubt (--no-cascade: always)."


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
    cascade: bool = True,
) -> Result:
    """Scores a saved prompt, as re-read from its file, on the validation and test splits of a data set.

    A run directory brings the other rungs of its ladder along; a file alone is compared with the images without it,
    read with the same output transform. Splits that are drawn are drawn with the prompt's own seed, so the images it
    learned from stay out of the test.

    Args:
        source: A prompt PNG or a run directory.
        data: A name or a data set; with a run directory, that of the run by default.
        workers: Threads that decode images.
        calls: See `deploy`; of a remote model, what the ledger holds is not queried again.

    Raises:
        BudgetError: A remote model would have to be queried more than the budget allows; its answers are in the ledger.
        ConfigError: No data set is named, or its classes are not those of the prompt.
    """
    began, reporter = time.perf_counter(), reporter or Silent()
    if price_per_1000 is not None:
        calls = replace(calls or Calls(), price_per_1000=price_per_1000)
    deployed = deploy(source, model=model, weights=weights, device=device, calls=calls, cascade=cascade)
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
    if not isinstance(data, Data):
        data = _load(data, config, prompt.seed, source)
    _check_classes(data.classes, deployed.classes)
    white_box = config.method.white_box if config is not None else prompt.output.get("kind") == "head"
    jobs = _jobs(deployed, data, workers, reporter, alone=not own and not white_box)
    _check_budget(deployed, jobs, reporter)
    rungs, counts, price, changes = _rungs(deployed, jobs, reporter)
    notes = [_FILE_ALONE if len(prompt.pages) == 1 else _SEVERAL.format(f"{price:.3g}")]
    if deployed.cascade is not None:
        notes.append(_IN_DOUBT.format(len(prompt.pages)))
    saved = read_result(source / "result.json") if own or (white_box and config is not None) else None
    if white_box:
        rungs, notes = _of_adapter(rungs, config), ["The adapter was scored as re-read from its file."]
    if own and saved:
        again = "prompt_float" if white_box else "prompt_png"
        changes = saved.changes if saved.accuracy[again] == rungs[again] else ()
        rungs = {**saved.accuracy, again: rungs[again]}
        notes = ["Only the last rung was scored again; the others are those of the run."]
    return Result(
        method=config.method.name if config else "adapter" if white_box else "pixel",
        model=deployed.model.spec.name,
        data=data.name,
        classes=data.classes,
        counts={"train": len(data.train), **counts},
        parameters=prompt.num_params,
        seed=prompt.seed,
        accuracy=rungs,
        queries={**query_counts(deployed.model, price_per_1000), "per_prediction": price},
        best="adapter" if white_box else "none" if prompt.is_empty else "prompt",
        seconds=time.perf_counter() - began,
        peak_memory_mb=peak_memory_mb(deployed.device),
        notes=[*notes, *deployed.model.notes],
        changes=changes,
        adapter=saved.adapter if saved else None,
    )


def _load(name: str | None, config: TrainConfig | None, seed: int, source: Path) -> Data:
    """Loads the data that the user names, or else the run."""
    if name is None:
        if config is None:
            raise ConfigError("a prompt PNG does not name its data; say which with --data.")
        name = config.data.name
        check_trusted({"data": name}, source)
    return load_data(name, seed=seed, **(config.data.subset if config else {}))


def _of_adapter(rungs: dict[str, Score | None], config: TrainConfig | None) -> dict[str, Score | None]:
    """Returns the score as that of an adapter, which is no PNG; after a search it has learned from val, too."""
    score = rungs["prompt_png"]
    if score is not None and config is not None and config.fit.grid_search:
        score = replace(score, val=None)
    return {**rungs, "prompt_float": score, "prompt_png": None}


@dataclass(frozen=True)
class _Job:
    """One rung on one split."""

    rung: str
    split: str
    canvases: CanvasSet
    overlay: Callable[[Pixels], Pixels] | None

    def batches(self, size: int) -> Iterator[Pixels]:
        """Yields prompted canvases (n, H, W, 3), n <= size."""
        for start in range(0, len(self.canvases.labels), size):
            block = np.asarray(self.canvases.pixels[start : start + size])
            yield self.overlay(block) if self.overlay else block


def _jobs(deployed: Deployed, data: Data, workers: int, reporter: Reporter, *, alone: bool) -> list[_Job]:
    """Returns the rungs that a file alone can give."""
    pages = deployed.prompt.pages
    plain = plain_canvas(deployed.prompt, deployed.model.spec, deployed.config)
    rungs_to_score: list[tuple[str, Canvas, Callable[[Pixels], Pixels] | None]] = []
    if alone and len(pages) == 1:
        rungs_to_score.append(("no_prompt", plain, None))
    rungs_to_score += [("prompt_png", page.canvas, page.overlay) for page in pages]
    jobs = []
    for rung, canvas, overlay in rungs_to_score:
        for name, images in (("val", data.val), ("test", data.test)):
            reporter.stage(f"read {name}", len(images))
            canvases = make_canvases(images, canvas, workers=workers, on_image=reporter.advance)
            jobs.append(_Job(rung, name, canvases, overlay))
    return jobs


def _check_budget(deployed: Deployed, jobs: list[_Job], reporter: Reporter) -> None:
    """Makes sure, of a remote model, that the budget pays for all of it, before the first query; reports how much."""
    model = deployed.model

    def prompted() -> Iterator[Pixels]:
        for job in jobs:
            yield from job.batches(model.chunk)

    num_new = model.new_queries(prompted())
    model.announce(num_new, reporter.note)
    model.require(num_new)


def _rungs(
    deployed: Deployed, jobs: list[_Job], reporter: Reporter
) -> tuple[dict[str, Score | None], dict[str, int], float, tuple[Change, ...]]:
    """Returns the rungs, how many images of each split were answered, the queries per prediction, and the change."""
    rungs: dict[str, Score | None] = dict.fromkeys(RUNGS)
    answered: dict[str, dict[str, list[Rows]]] = {}
    labels = {job.split: np.asarray(job.canvases.labels) for job in jobs}
    for job in jobs:
        views = answered.setdefault(job.rung, {}).setdefault(job.split, [])
        further = None
        if views and deployed.cascade is not None:
            further = deployed.cascade.in_doubt(views[0])
        views.append(_answers(deployed, job, further, reporter))
    hits = {
        rung: {split: _hits(deployed, np.concatenate(views, 1), labels[split]) for split, views in splits.items()}
        for rung, splits in answered.items()
    }
    for rung, split_hits in hits.items():
        rungs[rung] = _score(split_hits["val"], split_hits["test"], deployed.reader.kind)
    counts = {split: len(split_hits) for split, split_hits in hits["prompt_png"].items()}
    changes: tuple[Change, ...] = ()
    if "no_prompt" in hits:
        before, after = hits["no_prompt"]["test"], hits["prompt_png"]["test"]
        if len(before) == len(after) == len(labels["test"]) > 0:  # otherwise some image has one answer only
            changes = (paired_change(("no_prompt", "prompt_png"), before, after),)
    firsts = np.concatenate([views[0] for views in answered["prompt_png"].values()])
    num_views = len(deployed.prompt.pages)
    if deployed.cascade is None or not len(firsts):
        return rungs, counts, num_views, changes
    return rungs, counts, round(1 + (num_views - 1) * float(deployed.cascade.in_doubt(firsts).mean()), 3), changes


def _answers(deployed: Deployed, job: _Job, chosen: npt.NDArray[np.bool_] | None, reporter: Reporter) -> Rows:
    """Returns the answers (N, S) of a job; of the chosen images (N,) alone, and zeros for the others."""
    total = len(job.canvases.labels)
    chosen = np.ones(total, np.bool_) if chosen is None else chosen
    reporter.stage(f"score {job.split}", int(chosen.sum()))
    rows, start = np.zeros((total, 0), np.float32), 0
    for block in job.batches(deployed.model.chunk):
        part = chosen[start : start + len(block)]
        if part.any():
            outputs = deployed.query(block[part])
            if not rows.shape[1]:
                rows = np.zeros((total, outputs.shape[1]), np.float32)
            rows[start : start + len(block)][part] = outputs
            reporter.advance(int(part.sum()))
        start += len(block)
    return rows if rows.shape[1] else np.zeros((total, deployed.model.spec.num_outputs), np.float32)


def _hits(deployed: Deployed, rows: Rows, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Returns which of the answers (N, V * S) are right; those that are not complete are left out."""
    complete = ~np.isnan(rows).any(1)
    hits: npt.NDArray[np.bool_] = deployed.reader(rows[complete]).argmax(1) == labels[complete]
    return hits


def _score(val: npt.NDArray[np.bool_], test: npt.NDArray[np.bool_], kind: str) -> Score:
    return Score(
        val=float(val.mean()) if len(val) else None,
        test=float(test.mean()) if len(test) else None,
        ci95=wilson(int(test.sum()), len(test)) if len(test) else None,
        output=kind,
    )


def _check_classes(classes: tuple[str, ...], expected: tuple[str, ...]) -> None:
    if tuple(classes) == tuple(expected):
        return
    pairs = enumerate(itertools.zip_longest(expected, classes, fillvalue="nothing"))
    index, (ours, theirs) = next(pair for pair in pairs if pair[1][0] != pair[1][1])
    raise ConfigError(
        f"the prompt tells {len(expected)} classes apart, the data set has {len(classes)}; the first that differs is "
        f"number {index}: {ours!r} in the prompt, {theirs!r} in the data. They must agree, in this order."
    )
