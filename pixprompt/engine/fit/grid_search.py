"""The VPT paper's protocol: choose learning rate and weight decay on the validation images, then train on both splits.

The final training has no images to choose an epoch on, so a trial is judged by its last epoch, too. Ties go to the
smaller learning rate, then to the smaller weight decay.
"""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...adapters import WhiteBox
from ...core import ModelError, PixpromptError
from ...data import join
from ...files import make_folder, read_json, write_json
from ..answers import Answered, score
from ..config.methods import grids, scales
from ..parts import Parts, Split, canvases_of
from ..report import Reporter
from ..result import Score
from .gradient import Fit
from .inputs import TrainInputs, inputs_of
from .inside_fit import ask_adapter, counter, fit_adapter, new_adapter

__all__ = ["Found", "search"]


@dataclass(frozen=True)
class Found:
    """What a search ends with.

    Attributes:
        adapter: Of the first seed, fitted on train and val.
        state: Of its fit.
        test: Its logits for the test images.
        score: Its score.
        earlier: Seconds that earlier sessions spent.
        summary: The trials, the choice and the seeds, as the result tells them.
    """

    adapter: WhiteBox
    state: Fit
    test: Answered
    score: Score
    earlier: float
    summary: dict[str, Any]


@dataclass(frozen=True)
class _Tried:
    trials: list[dict[str, Any]]
    earlier: float


def search(parts: Parts, folder: Path, splits: dict[str, Split], reporter: Reporter) -> Found:
    """Runs all trials that an earlier session has not finished, then the final trainings.

    Raises:
        ModelError: Every trial diverged.
    """
    adapter = new_adapter(parts, parts.config.seed)
    train, val = (
        inputs_of(adapter, splits[name].plain, parts.device, on_images=counter(parts), reporter=reporter)
        for name in ("train", "val")
    )
    tried = _trials(parts, folder, train, val, reporter)
    done = [trial for trial in tried.trials if trial["val_accuracy"] is not None]
    if not done:
        raise ModelError("every trial of the search diverged; try smaller learning rates with --lr-grid.")
    chosen = max(done, key=lambda trial: (trial["val_accuracy"], -trial["lr"], -trial["weight_decay"]))
    reporter.note(
        f"chosen on {len(val.labels)} validation images: learning rate {chosen['lr']:g}, weight decay "
        f"{chosen['weight_decay']:g} ({chosen['val_accuracy']:.3f})"
    )
    del train, val  # what the frozen part made of them may be large, and both are fed anew together
    return _final(parts, folder, chosen, tried, splits, reporter)


def _trials(parts: Parts, folder: Path, train: TrainInputs, val: TrainInputs, reporter: Reporter) -> _Tried:
    """Tries every pair of the grids, smallest first, and keeps each trial's outcome at once."""
    config, path, began = parts.config, make_folder(folder / "checkpoint") / "search.json", time.perf_counter()
    rates, decays = grids(config)
    reporter.note(
        f"search: {len(rates)} learning rates {rates[0]:g} to {rates[-1]:g} times {len(decays)} weight decays, "
        f"{config.fit.epochs} epochs each, batch size {config.fit.batch_size}"
        + ("; rates are the grid times batch size / 256" if scales(config) else "")
    )
    trials: list[dict[str, Any]] = []
    counted, earlier = parts.counted, 0.0
    if path.exists():
        try:
            saved = read_json(path)
            trials, earlier = list(saved["trials"]), float(saved["seconds"])
            counted.num_images, counted.num_requests = int(saved["images"]), int(saved["requests"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PixpromptError(f"{path} is damaged ({error}). Delete it to search again.") from error
    known = {(trial["lr"], trial["weight_decay"]) for trial in trials}
    for rate in rates:
        for decay in decays:
            if (rate, decay) not in known:
                trials.append(_trial(parts, rate, decay, train, val, reporter))
                asked = {"images": counted.num_images, "requests": counted.num_requests}
                spent = earlier + time.perf_counter() - began
                write_json(path, {"trials": trials, "seconds": spent, **asked})
    return _Tried(trials, earlier)


def _trial(
    parts: Parts, rate: float, decay: float, train: TrainInputs, val: TrainInputs, reporter: Reporter
) -> dict[str, Any]:
    config = parts.config.with_values(lr=rate, weight_decay=decay)
    adapter = new_adapter(parts, config.seed)
    trial: dict[str, Any] = {"lr": rate, "weight_decay": decay, "val_accuracy": None, "val_loss": None}
    try:
        state = fit_adapter(parts, config, adapter, train.rebind(adapter), val.rebind(adapter), reporter)
    except ModelError as error:  # it diverged, which is an outcome, too
        reporter.note(f"learning rate {rate:g}, weight decay {decay:g}: {error}")
        return trial
    last = state.history[-1]
    if not math.isfinite(last["val_loss"]):
        reporter.note(f"learning rate {rate:g}, weight decay {decay:g}: the last step diverged.")
        return trial
    reporter.note(f"learning rate {rate:g}, weight decay {decay:g}: {last['val_accuracy']:.3f}")
    return trial | {"val_accuracy": last["val_accuracy"], "val_loss": last["val_loss"]}


def _final(
    parts: Parts,
    folder: Path,
    chosen: dict[str, Any],
    tried: _Tried,
    splits: dict[str, Split],
    reporter: Reporter,
) -> Found:
    config, data = parts.config, parts.data
    both = canvases_of(join([data.train, data.val]), parts.plain, config.data.workers, reporter, "read train and val")
    kept: list[tuple[WhiteBox, Fit, Answered]] = []  # of the first seed alone: adapters may be as large as the model
    scores: list[Score] = []
    inputs: TrainInputs | None = None
    earlier = tried.earlier
    for seed in range(config.seed, config.seed + config.fit.seeds):
        adapter = new_adapter(parts, seed)
        if inputs is None:
            inputs = inputs_of(adapter, both, parts.device, on_images=counter(parts), reporter=reporter)
        inputs = inputs.rebind(adapter)
        own = config.with_values(seed=seed, lr=chosen["lr"], weight_decay=chosen["weight_decay"])
        place = folder / "checkpoint" / f"seed-{seed}.safetensors"
        history, fitting = None if kept else folder, time.perf_counter()
        state = fit_adapter(parts, own, adapter, inputs, None, reporter, checkpoint=place, folder=history)
        earlier += max(0.0, state.seconds - (time.perf_counter() - fitting))
        test = ask_adapter(parts, adapter, splits["test"].plain, reporter)
        kept = kept or [(adapter, state, test)]
        scores.append(score(adapter.output, None, test))
    tests = [each.test or 0.0 for each in scores]
    summary = {
        "trials": tried.trials,
        "lr": chosen["lr"],
        "weight_decay": chosen["weight_decay"],
        "val_accuracy": chosen["val_accuracy"],
        "seeds": [{"seed": config.seed + index, "test": test} for index, test in enumerate(tests)],
        "test_mean": statistics.fmean(tests),
        "test_deviation": statistics.stdev(tests) if len(tests) > 1 else None,
    }
    return Found(*kept[0], scores[0], earlier, summary)
