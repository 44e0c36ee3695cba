"""The end of a run: the ladder, the PNG, the pictures, the result."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ..adapters import PixelPrompt
from ..core import OutputTransform
from ..data import CanvasSet
from ..files import write_json
from ..plots import draw_curves
from ..prompt import Prompt, load
from .answers import Answered, ask_all, batches, score, to_images
from .baseline import best_without_prompt
from .budget.plan import query_counts
from .fit.gradient import Best, Fit
from .parts import Parts, Split
from .report import Reporter
from .result import Result, Score, peak_memory_mb
from .saved.prompt_png import Shown, draw, empty_prompt, metrics_of, trained_prompt

__all__ = ["Ending", "finish"]


@dataclass(frozen=True)
class Ending:
    """What a finished fit leaves for the ladder."""

    parts: Parts
    folder: Path
    adapter: PixelPrompt
    state: Fit
    own: OutputTransform
    plain_train: Answered
    plain_val: Answered
    val: Split
    test: Split
    reporter: Reporter


def finish(end: Ending, *, began: float) -> Result:
    """Scores the test split once per rung, writes prompt, pictures and result, and returns the result."""
    parts, best, test = end.parts, end.state.best, end.test
    num_val, num_test = len(end.plain_val.labels), len(test.plain.labels)
    end.reporter.stage("score", num_test + (2 * (num_val + num_test) if best else 0))
    plain_test = ask_all(parts.counted, test.plain, device=parts.device, reporter=end.reporter)
    alone = best_without_prompt(parts, end.own, end.plain_train, end.plain_val)
    rungs: dict[str, Score | None] = {
        "no_prompt": score(end.own, end.plain_val, plain_test),
        "output_only": score(alone, end.plain_val, plain_test),
        "prompt_float": _score_float(end, best) if best else None,
    }
    saved = _choose(end, best, plain_test)
    rungs["prompt_png"] = score(saved.output, saved.val, saved.test)
    path = end.folder / "prompt.png"
    replace(saved.prompt, metrics=metrics_of(rungs)).save(path)
    reread = load(path)
    chosen = "none" if reread.template["name"] == "none" else "prompt"
    apart = (
        _steps_apart(end.adapter, reread, test) if chosen == "prompt" and parts.config.prompt.space == "pixel" else None
    )
    result = _result(end, rungs, chosen, apart, _notes(rungs, chosen, saved), time.perf_counter() - began)
    draw_curves(end.folder / "curves.png", end.state.history, metrics_of(rungs))
    _draw(end, reread, plain_test, saved)
    write_json(end.folder / "result.json", result.to_json())  # last: it says that the run is finished
    return result


@dataclass(frozen=True)
class _Saved:
    """The prompt to keep, the output transform with it, and the answers to images prompted by its file.

    Attributes:
        exported: Score of the trained prompt's own file, kept or not, where that file may lose something.
    """

    prompt: Prompt
    output: OutputTransform
    val: Answered
    test: Answered
    exported: Score | None = None


def _choose(end: Ending, best: Best | None, plain_test: Answered) -> _Saved:
    """Keeps the trained prompt if its file, read back, validates better than no prompt; else an empty one."""
    parts, exported = end.parts, None
    if best is not None:
        output = best.output or end.own
        # Not under its final name: an interrupted run must not leave a prompt there that was not chosen.
        path = end.folder / "checkpoint" / "candidate.png"
        prompt = trained_prompt(parts, end.adapter.theta, output)
        prompt.save(path)
        reread = load(path)

        def ask(split: CanvasSet) -> Answered:
            return ask_all(parts.counted, split, device=parts.device, reporter=end.reporter, overlay=reread.overlay)

        val, none = ask(end.val.prompt), score(end.own, end.plain_val, None).val or 0.0
        better, lossy = (score(output, val, None).val or 0.0) > none, parts.config.prompt.space == "unclamped"
        if better or lossy:
            test = ask(end.test.prompt)
            exported = score(output, val, test) if lossy else None
            if better:
                return _Saved(prompt, output, val, test, exported)
    # An empty prompt leaves every pixel as it is, so the plain answers are its answers.
    return _Saved(empty_prompt(parts, end.own), end.own, end.plain_val, plain_test, exported)


def _score_float(end: Ending, best: Best) -> Score:
    """Scores the prompt as trained: float pixels, not rounded to 8 bits (in normalised space not clamped either)."""
    end.adapter.load_state_dict(best.state)
    end.adapter.output = best.output or end.own

    def ask(images: torch.Tensor) -> torch.Tensor:
        return end.adapter.outputs(images, quantize=False)

    answered = [
        ask_all(ask, split.prompt, device=end.parts.device, reporter=end.reporter) for split in (end.val, end.test)
    ]
    return score(end.adapter.output, *answered)


@torch.no_grad()
def _steps_apart(adapter: PixelPrompt, prompt: Prompt, test: Split) -> int:
    """Returns the largest difference, in 8-bit steps, between images prompted in memory and by the file."""
    largest = 0
    for part in batches(len(test.prompt.pixels)):
        block = np.asarray(test.prompt.pixels[part])
        memory = adapter.prompted(to_images(block, str(adapter.theta.device))).permute(0, 2, 3, 1)
        steps = (memory * 255).round().to(torch.int16).cpu()
        largest = max(largest, int((steps - torch.from_numpy(prompt.overlay(block)).short()).abs().max()))
    return largest


def _notes(rungs: dict[str, Score | None], chosen: str, saved: _Saved) -> list[str]:
    notes, only, png, trained = [], rungs["output_only"], rungs["prompt_png"], rungs["prompt_float"]
    if chosen == "none":
        notes.append("No prompt validates better than none; the saved prompt is empty.")
    if saved.exported and trained:
        notes.append(
            f"Unclamped in memory the prompt reaches {trained.test:.3f} on test, saved as a PNG "
            f"{saved.exported.test:.3f}."
        )
    if only and png and (only.val or 0.0) > (png.val or 0.0):
        notes.append(
            f"Without any prompt, output '{only.output}' validates better ({only.val:.3f} against {png.val:.3f}). "
            "It needs all numbers of the model's answers."
        )
    return notes


def _result(
    end: Ending,
    rungs: dict[str, Score | None],
    chosen: str,
    apart: int | None,
    notes: list[str],
    seconds: float,
) -> Result:
    parts, state = end.parts, end.state
    num_train, num_val, num_test = (
        len(labels) for labels in (end.plain_train.labels, end.plain_val.labels, end.test.plain.labels)
    )
    trained = state.epoch * num_train
    return Result(
        method=parts.config.method.name,
        model=parts.spec.name,
        data=parts.data.name,
        classes=parts.data.classes,
        counts={"train": num_train, "val": num_val, "test": num_test},
        parameters=parts.template.num_params,
        seed=parts.config.seed,
        accuracy=rungs,
        queries=query_counts(parts.counted, parts.config.search.price_per_1000),
        best=chosen,
        max_pixel_difference=apart,
        train_images_per_second=trained / state.train_seconds if state.train_seconds else 0.0,
        seconds=seconds,
        peak_memory_mb=peak_memory_mb(parts.device),
        notes=notes,
    )


def _draw(end: Ending, prompt: Prompt, plain: Answered, saved: _Saved) -> None:
    under = end.test.plain if prompt.template["name"] == "none" else end.test.prompt
    draw(
        end.folder,
        prompt,
        end.parts.data.classes,
        Shown(end.test.plain, plain, end.own),
        Shown(under, saved.test, saved.output),
    )
