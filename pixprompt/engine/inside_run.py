"""One run of a method that reaches into the model: fit or search, ladder, `adapter.safetensors`, result."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..adapters import WhiteBox
from ..core import OutputTransform
from ..files import write_json
from ..plots import draw_curves
from .answers import Answered, ask_all, score
from .baseline import best_without_prompt, identity_of, plain_answers
from .budget.plan import query_counts
from .fit.gradient import Fit
from .fit.grid_search import search
from .fit.inputs import inputs_of
from .fit.inside_fit import ask_adapter, counter, fit_adapter, new_adapter
from .parts import Parts, Split
from .report import Reporter
from .result import Result, Score, peak_memory_mb
from .saved.adapter_file import save_tuned
from .saved.per_image_prompt import ADAPTER_FILE
from .saved.prompt_png import Shown, draw, metrics_of

__all__ = ["run_inside"]


@dataclass(frozen=True)
class _Plain:
    """The answers without an adapter, and how they are read."""

    own: OutputTransform
    alone: OutputTransform
    val: Answered
    test: Answered

    def rungs(self) -> dict[str, Score | None]:
        """Returns the rungs of the ladder below the adapter."""
        return {
            "no_prompt": score(self.own, self.val, self.test),
            "output_only": score(self.alone, self.val, self.test),
        }


@dataclass(frozen=True)
class _Learned:
    """An adapter after its last step, with its logits for the test images; `earlier` are seconds of other sessions."""

    adapter: WhiteBox
    state: Fit
    score: Score
    test: Answered
    num_train: int
    earlier: float
    search: dict[str, Any] | None = None


def run_inside(parts: Parts, folder: Path, reporter: Reporter, *, began: float) -> Result:
    """Learns an adapter and writes the run directory; the folder is claimed already."""
    splits = {name: parts.split(name, reporter) for name in ("train", "val", "test")}
    plain = _ask_plain(parts, folder, splits, reporter)
    learned = (_searched if parts.config.fit.grid_search else _fitted)(parts, folder, splits, reporter)
    rungs: dict[str, Score | None] = {**plain.rungs(), "prompt_float": learned.score, "prompt_png": None}
    save_tuned(folder / ADAPTER_FILE, parts, learned.adapter, learned.adapter.state_dict())
    result = _result(parts, learned, rungs, splits, time.perf_counter() - began + learned.earlier)
    draw_curves(folder / "curves.png", learned.state.history, metrics_of(rungs))
    test = splits["test"].plain
    draw(
        folder,
        None,
        parts.data.classes,
        Shown(test, plain.test, plain.own),
        Shown(test, learned.test, learned.adapter.output),
        names=(f"without, {plain.own.kind}", parts.config.method.name),
    )
    write_json(folder / "result.json", result.to_json())  # last: it says that the run is finished
    return result


def _ask_plain(parts: Parts, folder: Path, splits: dict[str, Split], reporter: Reporter) -> _Plain:
    own, train, val = parts.output(), splits["train"], splits["val"]
    identity = identity_of(parts, own, train, val, method=parts.config.method.name)
    found, checked = plain_answers(parts, folder, identity, train, val, reporter)
    if own.fits:
        own = own.refit(found.outputs, found.labels)
    reporter.stage("no prompt, test", len(splits["test"].plain.labels))
    test = ask_all(parts.counted, splits["test"].plain, device=parts.device, reporter=reporter)
    return _Plain(own, best_without_prompt(parts, own, found, checked), checked, test)


def _fitted(parts: Parts, folder: Path, splits: dict[str, Split], reporter: Reporter) -> _Learned:
    adapter = new_adapter(parts, parts.config.seed)
    train, val = (
        inputs_of(adapter, splits[name].plain, parts.device, on_images=counter(parts), reporter=reporter)
        for name in ("train", "val")
    )
    place, fitting = folder / "checkpoint" / "state.safetensors", time.perf_counter()
    state = fit_adapter(parts, parts.config, adapter, train, val, reporter, checkpoint=place, folder=folder)
    earlier = state.seconds - (time.perf_counter() - fitting)
    test = ask_adapter(parts, adapter, splits["test"].plain, reporter)
    reporter.stage("score val", len(val.labels))
    found = score(adapter.output, val.answered(reporter), test)
    return _Learned(adapter, state, found, test, len(train.labels), max(0.0, earlier))


def _searched(parts: Parts, folder: Path, splits: dict[str, Split], reporter: Reporter) -> _Learned:
    found = search(parts, folder, splits, reporter)
    num_train = sum(len(splits[name].plain.labels) for name in ("train", "val"))
    return _Learned(found.adapter, found.state, found.score, found.test, num_train, found.earlier, found.summary)


def _result(
    parts: Parts, learned: _Learned, rungs: dict[str, Score | None], splits: dict[str, Split], seconds: float
) -> Result:
    adapter, state = learned.adapter, learned.state
    stored = sum(tensor.numel() for tensor in adapter.state_dict().values())
    trained = state.epoch * learned.num_train
    return Result(
        method=parts.config.method.name,
        model=parts.spec.name,
        data=parts.data.name,
        classes=parts.data.classes,
        counts={name: len(split.plain.labels) for name, split in splits.items()},
        parameters=adapter.num_tuned,
        seed=parts.config.seed,
        accuracy=rungs,
        queries=query_counts(parts.counted, parts.config.search.price_per_1000),
        best="adapter",
        train_images_per_second=trained / state.train_seconds if state.train_seconds else 0.0,
        seconds=seconds,
        peak_memory_mb=peak_memory_mb(parts.device),
        notes=_notes(adapter, rungs, learned.search),
        adapter={
            "tuned": adapter.num_tuned,
            "stored": stored,
            "backbone": adapter.num_backbone,
            "share": adapter.share,
        },
        search=learned.search,
    )


def _notes(adapter: WhiteBox, rungs: dict[str, Score | None], found: dict[str, Any] | None) -> list[str]:
    notes = [f"{adapter.num_tuned} numbers tuned, {adapter.share:.2%} of the backbone's {adapter.num_backbone}."]
    only, own = rungs["output_only"], rungs["prompt_float"]
    if found is not None:
        spread = "" if found["test_deviation"] is None else f" +- {found['test_deviation']:.3f}"
        seeds = "1 seed" if len(found["seeds"]) == 1 else f"{len(found['seeds'])} seeds; the file holds the first"
        notes.append(
            f"Test accuracy {found['test_mean']:.3f}{spread} over {seeds}, trained on train and val with learning rate "
            f"{found['lr']:g} and weight decay {found['weight_decay']:g}, which validated best "
            f"({found['val_accuracy']:.3f})."
        )
    elif only and own and (only.val or 0.0) > (own.val or 0.0):
        notes.append(
            f"Without any adapter, output '{only.output}' validates better ({only.val:.3f} against {own.val:.3f})."
        )
    return notes
