"""The end of a run by answers: the prompt that is worth keeping, its file, the ladder, the result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..adapters import BarPrompter, Coordinator, InBasis
from ..core import OutputTransform
from ..data import CanvasSet
from ..files import write_json
from ..plots import draw_curves
from ..prompt import Prompt, load
from .answers import Answered, score, to_images
from .asking import ask_some
from .budget.plan import query_counts
from .fit.cross_fit import stratified_order
from .fit.query_session import Session
from .fit.zeroth_order import Candidate
from .parts import Parts, canvases_of
from .result import Result, Score, peak_memory_mb
from .saved.per_image_prompt import save_coordinator
from .saved.prompt_png import Shown, draw, empty_prompt, metrics_of, trained_prompt

__all__ = ["Outcome", "finish_queries"]


@dataclass(frozen=True)
class Outcome:
    """What a run by answers has learned.

    Attributes:
        baseline: The plainest output transform, for the first rung.
        none: No prompt, with the best output transform.
        trained: The best prompt; None where none was looked for.
    """

    session: Session
    baseline: OutputTransform
    none: Candidate
    trained: Candidate | None

    @property
    def kept(self) -> Candidate:
        """The prompt, if it is worth having, else none."""
        return self.trained if self.trained is not None and self.trained.beats(self.none) else self.none


def finish_queries(outcome: Outcome, *, began: float) -> Result:
    """Scores the ladder as far as the budget pays for it, writes prompt, pictures and result."""
    session, kept = outcome.session, outcome.kept
    session.journal.budget.keep = 0
    ladder = _Ladder(outcome)
    rungs = ladder.rungs()
    notes = [*session.notes, *_notes(outcome), *session.journal.notes]
    apart = None
    if isinstance(kept.prompter, Coordinator) and kept.x is not None:
        save_coordinator(session.folder, session.parts, kept.prompter, kept.x, kept.output)
        notes.append("The prompt differs from image to image; no PNG can hold it. `pixprompt apply RUN` exports images")
    else:
        apart = ladder.save(rungs)
    result = _result(outcome, rungs, notes, apart, time.perf_counter() - began, ladder.num_tested)
    if session.history:
        draw_curves(session.folder / "curves.png", session.history, metrics_of(rungs))
    write_json(session.folder / "result.json", result.to_json())  # last: it says that the run is finished
    return result


class _Ladder:
    """Scores each rung once; what was asked before is remembered and costs nothing."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome, self.session = outcome, outcome.session
        test = self.session.parts.data.test
        order = stratified_order(torch.from_numpy(test.labels.copy()), self.session.parts.config.seed, "test")
        self.images = test.subset(order[: self.session.plan.test_images].tolist())
        self.everyone = torch.arange(len(self.images))

    def canvases(self, shrink: bool) -> CanvasSet:
        """Makes the test canvases."""
        session, parts = self.session, self.session.parts
        return canvases_of(self.images, parts.fitted(shrink), parts.config.data.workers, session.reporter, "read test")

    def rungs(self) -> dict[str, Score | None]:
        """Returns the rungs but the last, which waits for the file."""
        outcome, session = self.outcome, self.session
        session.reporter.stage("score", len(self.images) * (1 if outcome.kept is outcome.none else 2))
        plain = ask_some(session.asker, lambda: self.canvases(False), self.everyone, replicates=(0,), partly=True)
        if len(plain.labels) < len(self.images):
            session.notes.append(f"The budget paid for {len(plain.labels)} of {len(self.images)} test images.")
        self.everyone = self.everyone[: len(plain.labels)]
        self.plain = plain if len(plain.labels) else None
        none, trained, kept = outcome.none, outcome.trained, outcome.kept
        self.prompted = self.plain if kept is none else self._under(kept)
        rungs: dict[str, Score | None] = {
            "no_prompt": _score(outcome.baseline, none.val, self.plain),
            "output_only": _score(none.output, none.val, self.plain),
            "prompt_float": None,
            "prompt_png": None,
        }
        if trained is not None:  # what is not kept is not worth paying for the test images
            rungs["prompt_float"] = _score(trained.output, trained.val, self.prompted if trained is kept else None)
        return rungs

    def _under(self, candidate: Candidate) -> Answered | None:
        prompter, x = candidate.prompter, candidate.x
        if prompter is None or x is None:
            return None
        answered = ask_some(
            self.session.asker,
            lambda: self.canvases(candidate.shrink),
            self.everyone,
            prompt=lambda images: prompter(images, x),
            replicates=(0,),
            partly=True,
        )
        return answered if len(answered.labels) else None

    def save(self, rungs: dict[str, Score | None]) -> int | None:
        """Writes the prompt file, scores it as re-read, draws the preview.

        Returns:
            The largest difference in 8-bit steps between images prompted in memory and by the file.
        """
        session, kept = self.session, self.outcome.kept
        prompt, path = self._file(kept), session.folder / "prompt.png"
        rungs["prompt_png"] = _score(kept.output, kept.val, self.prompted)
        prompt.save(path)
        reread, apart = load(path), None
        if kept.x is not None:
            val = self._through(reread, session.canvases("val", shrink=kept.shrink), session.chosen_val, None)
            everyone = self.everyone[: len(self.prompted.labels) if self.prompted else 0]
            test = self._through(reread, lambda: self.canvases(kept.shrink), everyone, (0,))
            rungs["prompt_png"] = _score(kept.output, val, test)
            apart = self._apart(reread, kept)
        replace(prompt, metrics=metrics_of(rungs)).save(path)
        if self.plain is not None and self.prompted is not None and len(self.plain.labels) == len(self.prompted.labels):
            both = self.plain.heard & self.prompted.heard
            if bool(both.any()):
                before = _shown(self.canvases(False), self.plain, self.outcome.baseline, both)
                after = _shown(self.canvases(kept.shrink), self.prompted, kept.output, both)
                draw(session.folder, load(path), session.parts.data.classes, before, after)
        return apart

    @property
    def num_tested(self) -> int:
        """Test images that were answered without a prompt."""
        return 0 if self.plain is None else int(self.plain.heard.sum())

    def _file(self, kept: Candidate) -> Prompt:
        parts = self.session.parts
        if kept.x is None or not isinstance(kept.prompter, InBasis | BarPrompter):
            return empty_prompt(parts, kept.output)
        return trained_prompt(
            replace(parts, canvas=parts.fitted(kept.shrink)), kept.prompter.theta(kept.x), kept.output
        )

    def _through(
        self, prompt: Prompt, canvases: Callable[[], CanvasSet], chosen: Tensor, replicates: tuple[int, ...] | None
    ) -> Answered:
        return ask_some(
            self.session.asker, canvases, chosen, prompt=lambda images: _overlaid(prompt, images), replicates=replicates
        )

    def _apart(self, prompt: Prompt, kept: Candidate) -> int:
        canvases = self.session.canvases("val", shrink=kept.shrink)()
        largest = 0
        for index in self.session.chosen_val.tolist():
            images = to_images(canvases.pixels[index : index + 1], self.session.parts.device)
            if kept.prompter is not None and kept.x is not None:
                steps = (kept.prompter(images, kept.x) - _overlaid(prompt, images)).abs() * 255
                largest = max(largest, int(steps.max().round()))
        return largest


def _shown(canvases: CanvasSet, answered: Answered, output: OutputTransform, both: Tensor) -> Shown:
    if not bool(both.all()):
        canvases = replace(canvases, pixels=np.asarray(canvases.pixels)[: len(both)][both.numpy()])
    return Shown(canvases, answered.only(both), output)


def _overlaid(prompt: Prompt, images: Tensor) -> Tensor:
    pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return to_images(prompt.overlay(np.ascontiguousarray(pixels)), str(images.device))


def _score(output: OutputTransform, val: Answered | None, test: Answered | None) -> Score:
    return score(output, *(each if each is not None and len(each.labels) else None for each in (val, test)))


def _notes(outcome: Outcome) -> list[str]:
    session, notes = outcome.session, []
    if session.parts.config.method.file is None:
        pass
    elif not session.plan.prompt:
        notes.append("No prompt was looked for: what the budget leaves for one does not pay.")
    elif outcome.kept is outcome.none:
        notes.append("No prompt validates clearly better than none; the saved prompt is empty.")
    if not len(session.chosen_val):
        notes.append("Nothing was validated: so few answers all went into the output transform.")
    if not session.plan.test:
        notes.append("The test images were left alone; score them with: pixprompt evaluate")
    return notes


def _result(
    outcome: Outcome, rungs: dict[str, Score | None], notes: list[str], apart: int | None, seconds: float, tested: int
) -> Result:
    session, parts, kept = outcome.session, outcome.session.parts, outcome.kept
    return Result(
        method=parts.config.method.name,
        model=parts.spec.name,
        data=parts.data.name,
        classes=parts.data.classes,
        counts={"train": len(session.head.labels), "val": len(session.chosen_val), "test": tested},
        parameters=outcome.trained.prompter.num_params if outcome.trained and outcome.trained.prompter else 0,
        seed=parts.config.seed,
        accuracy=rungs,
        queries=_queries(parts, session),
        best="none" if kept is outcome.none else "prompt",
        max_pixel_difference=apart,
        train_images_per_second=session.journal.queries / seconds if seconds else 0.0,
        seconds=seconds,
        peak_memory_mb=peak_memory_mb(parts.device),
        notes=notes,
    )


def _queries(parts: Parts, session: Session) -> dict[str, Any]:
    journal = session.journal
    return {
        **query_counts(journal, parts.config.search.price_per_1000),
        "budget": parts.config.search.budget,
        "plan": session.plan.to_json(),
    }
