"""The end of a run: the ladder, the PNG, the pictures, the result."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import __version__
from ..adapters import PixelPrompt
from ..core import OutputTransform
from ..files import write_json
from ..models import DualEncoder
from ..outputs import candidates
from ..plots import Preview, draw_curves, draw_preview
from ..prompt import Prompt, load
from .answers import Answered, accuracy, ask_all, batches, score, to_images
from .build import Parts, Split
from .gradient import Best, Fit
from .plan import cost
from .report import Reporter
from .result import Result, Score, peak_memory_mb

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
    reporter: Reporter


def finish(end: Ending, *, began: float) -> Result:
    """Scores the test split once per rung, writes prompt, pictures and result, and returns the result."""
    parts, notes = end.parts, []
    test = parts.split("test", end.reporter)
    num_val, num_test = len(end.val.plain.labels), len(test.plain.labels)
    end.reporter.stage("score", num_test + 2 * (num_val + num_test))
    plain_test = ask_all(parts.counted, test.plain, device=parts.device, reporter=end.reporter)
    rungs: dict[str, Score | None] = {"no_prompt": score(end.own, end.plain_val, plain_test)}
    alone = _best_output_only(end)
    rungs["output_only"] = score(alone, end.plain_val, plain_test)
    best, apart = end.state.best, None
    if best is not None:
        end.adapter.load_state_dict(best.state)
        end.adapter.output = best.output
        rungs["prompt_float"] = _score_float(end, test)
    prompt = _prompt(end, best, rungs)
    path = end.folder / "prompt.png"
    prompt.save(path)
    reread = load(path)
    chosen = "none" if prompt.template["name"] == "none" else "prompt"
    val_set, test_set = (end.val.plain, test.plain) if chosen == "none" else (end.val.prompt, test.prompt)
    output = end.own if chosen == "none" or best is None else best.output
    answered = [
        ask_all(parts.counted, split, device=parts.device, reporter=end.reporter, overlay=reread.overlay)
        for split in (val_set, test_set)
    ]
    rungs["prompt_png"] = score(output, *answered)
    replace(prompt, metrics=_metrics(rungs)).save(path)
    if chosen == "prompt" and parts.config.space == "pixel":
        apart = _steps_apart(end.adapter, load(path), test)
    notes += _notes(rungs, chosen, alone.kind)
    result = _result(end, rungs, chosen, apart, notes, num_test, time.perf_counter() - began)
    write_json(end.folder / "result.json", result.to_json())
    draw_curves(end.folder / "curves.png", end.state.history, _metrics(rungs))
    _draw(end, load(path), test, plain_test, answered[1], output)
    return result


def _best_output_only(end: Ending) -> OutputTransform:
    """Returns the transform that validates best without a prompt, from the same labelled answers; own wins ties."""
    parts, own = end.parts, end.own.to("cpu")
    fitted = [own]
    has_text = isinstance(parts.model, DualEncoder)
    for kind in candidates(parts.spec, has_text, len(parts.data.classes)):
        if kind != own.kind:
            fresh = parts.output(kind).to("cpu")
            fitted.append(fresh.refit(end.plain_train.outputs, end.plain_train.labels))
    return max(fitted, key=lambda output: accuracy(output(end.plain_val.outputs), end.plain_val.labels))


def _score_float(end: Ending, test: Split) -> Score:
    """Scores the prompt as trained: float pixels, not rounded to 8 bits (in normalised space not clamped either)."""

    def ask(images: torch.Tensor) -> torch.Tensor:
        return end.adapter.outputs(images, quantize=False)

    answered = [ask_all(ask, split.prompt, device=end.parts.device, reporter=end.reporter) for split in (end.val, test)]
    return score(end.adapter.output, *answered)


def _prompt(end: Ending, best: Best | None, rungs: dict[str, Score | None]) -> Prompt:
    """Returns the prompt to save: the best validated one, or an empty one where none validates as well."""
    parts, plain = end.parts, rungs["no_prompt"]
    common: dict[str, Any] = {"model": parts.spec.name, "seed": parts.config.seed, "version": __version__}
    if best is None or (plain is not None and best.val_accuracy <= (plain.val or 0.0)):
        return Prompt(
            rgba=np.zeros((*parts.plain.size, 4), np.uint8),
            canvas=parts.plain,
            blend="over",
            delta_scale=None,
            template={"name": "none", "params": {}},
            output=end.own.to_json(),
            **common,
        )
    return Prompt(
        rgba=parts.template.export(end.adapter.theta),
        canvas=parts.canvas,
        blend=parts.template.blend.name,
        delta_scale=parts.template.blend.delta_scale,
        template={"name": parts.template.name, "params": parts.template.geometry.params},
        output=best.output.to_json(),
        **common,
    )


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


def _metrics(rungs: dict[str, Score | None]) -> dict[str, Any]:
    return {name: {"val": rung.val, "test": rung.test} for name, rung in rungs.items() if rung is not None}


def _notes(rungs: dict[str, Score | None], chosen: str, alone: str) -> list[str]:
    notes, only, png = [], rungs["output_only"], rungs["prompt_png"]
    if chosen == "none":
        notes.append("No prompt validated better than none; the saved prompt is empty.")
    if only and png and (only.val or 0.0) > (png.val or 0.0):
        notes.append(
            f"Output transform '{alone}' validates better without any prompt ({only.val:.3f} against {png.val:.3f}). "
            f"If all answers of the model are at hand, --output {alone} may serve you better."
        )
    return notes


def _result(
    end: Ending,
    rungs: dict[str, Score | None],
    chosen: str,
    apart: int | None,
    notes: list[str],
    num_test: int,
    seconds: float,
) -> Result:
    parts, state = end.parts, end.state
    num_train, num_val = len(end.plain_train.labels), len(end.plain_val.labels)
    trained = state.epoch * num_train
    return Result(
        method=parts.config.method,
        model=parts.spec.name,
        data=parts.data.name,
        classes=parts.data.classes,
        counts={"train": num_train, "val": num_val, "test": num_test},
        parameters=parts.template.num_params,
        seed=parts.config.seed,
        accuracy=rungs,
        queries={
            "images": parts.counted.images,
            "requests": parts.counted.requests,
            "cached": 0,
            "retried": 0,
            "cost": cost(parts.counted.images, parts.config.price_per_1000),
        },
        best=chosen,
        max_pixel_difference=apart,
        train_images_per_second=trained / state.train_seconds if state.train_seconds else 0.0,
        seconds=seconds,
        peak_memory_mb=peak_memory_mb(parts.device),
        notes=notes,
    )


def _draw(
    end: Ending, prompt: Prompt, test: Split, plain: Answered, prompted: Answered, output: OutputTransform
) -> None:
    chosen = np.unique(np.linspace(0, len(test.plain.labels) - 1, 6).astype(int))
    under = test.plain if prompt.template["name"] == "none" else test.prompt
    draw_preview(
        end.folder / "preview.png",
        Preview(
            prompt=prompt,
            classes=end.parts.data.classes,
            before=np.asarray(test.plain.pixels[chosen]),
            after=prompt.overlay(np.asarray(under.pixels[chosen])),
            labels=plain.labels.numpy(),
            guesses_before=end.own.to("cpu")(plain.outputs).argmax(1).numpy(),
            guesses_after=output.to("cpu")(prompted.outputs).argmax(1).numpy(),
            shown=chosen,
        ),
    )
