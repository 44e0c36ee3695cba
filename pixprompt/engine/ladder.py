"""The ladder of a run: the test images scored once per rung, whatever was learned, and the result object."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..adapters import ADAPTER_FILE
from ..core import Access, OutputTransform
from ..ledger import Querier
from ..outputs import CascadeOutput
from ..outputs.linear.few_answers import best_factor
from ..prompt import Committee, Prompt, load, load_committee
from ..search.evidence import LEVEL, loss_score, p_value_of
from ..search.readout import squared_errors
from .answers import Answered, accuracy, batches, right_images, score, to_images
from .baseline import Baseline
from .inputs.run_inputs import describe_labels
from .learners.learned import Learned, Solution
from .parts import Parts
from .result import RUNGS, Change, Result, Score, none_kept, paired_change, peak_memory_mb, query_counts
from .run_folder import identity
from .saved.pictures import NUM_IMAGES, PreviewState, draw_run
from .saved.prompt_png import empty_prompt, metrics_of, origin_of
from .session import Session

__all__ = ["Ladder", "SavedSolution", "is_clearly_better", "make_result", "score_ladder"]


@dataclass
class Ladder:
    """The rungs as they are scored.

    Attributes:
        rungs: A score for each of `RUNGS`, or None.
        best: What the run saves: "prompt", "adapter" or "none".
        num_test: Test images that were answered without a prompt.
        max_pixel_error: Largest difference in 8-bit steps between images prompted in memory and by the file; None
            where there is nothing to compare.
        changes: From the rungs without a prompt to what the run saves.
        saved: What the run saves, and the answers that it has read.
        right: Rung -> which test images it gets right, as `right_images` writes it; for paired comparisons.
        images: Digest of the names of the test images, in order.
    """

    rungs: dict[str, Score | None] = field(default_factory=lambda: dict.fromkeys(RUNGS))
    best: str = "none"
    num_test: int = 0
    max_pixel_error: int | None = None
    changes: tuple[Change, ...] = ()
    notes: list[str] = field(default_factory=list)
    saved: SavedSolution | None = None
    right: dict[str, str] = field(default_factory=dict)
    images: str = ""

    def score(self, rung: str, output: OutputTransform, val: Answered | None, test: Answered | None) -> None:
        """Scores a rung."""
        self.rungs[rung] = _score(output, val, test)
        if test is not None and len(test.labels):
            self.right[rung] = right_images(output, test)


@dataclass(frozen=True)
class SavedSolution:
    """A prompt file, or the adapter, with its answers to the images of both splits.

    Attributes:
        prompt: None for an adapter.
    """

    prompt: Prompt | Committee | None
    output: OutputTransform
    val: Answered | None
    test: Answered


def score_ladder(session: Session[Querier], baseline: Baseline, learned: Learned) -> Ladder:
    """Scores the rungs as far as the budget pays for them, and writes the prompt, or the adapter, and the pictures."""
    ladder, parts, solution = Ladder(), session.parts, learned.solution
    total = len(parts.data.test) if learned.test_images is None else learned.test_images
    if total:  # an image that cannot be read has no canvas
        total = min(total, len(session.canvases("test", parts.plain).labels))
    pages = 0 if solution is None or not _is_tested(session, solution) else _num_pages(solution)
    session.reporter.stage("score", total * (1 + pages))
    plain = session.query("test", parts.plain, torch.arange(total), replicates=(0,), partly=True)
    if len(plain.labels) < total:
        ladder.notes.append(f"The budget paid for {len(plain.labels)} of {total} test images.")
    ladder.num_test = int(plain.mask.sum())
    ladder.images = identity(names=session.canvases("test", parts.plain).names[:total] if total else [])
    ladder.score("no_prompt", baseline.output, baseline.val, plain)
    ladder.score("output_only", baseline.best, baseline.val, plain)
    scored = None
    if solution is not None:
        test = _in_memory(session, solution, plain)
        ladder.score("prompt_float", solution.output, solution.val, test)
        if test is not None and solution.is_better is not False:
            scored = _score_file(session, baseline, solution, test, ladder)
    if scored is not None and solution is not None:
        ladder.best = solution.name
    else:
        scored = SavedSolution(
            empty_prompt(parts.plain, baseline.fallback, **origin_of(parts)), baseline.fallback, baseline.val, plain
        )
    if scored.prompt is not None:
        ladder.score("prompt_png", scored.output, scored.val, scored.test)
        replace(scored.prompt, metrics=metrics_of(ladder.rungs)).save(session.folder.path / "prompt.png")
    elif solution is not None and solution.write is not None:
        solution.write(session.folder.path / ADAPTER_FILE)
    ladder.changes = _changes(ladder, baseline, plain, scored)
    ladder.notes += _notes(ladder, solution, parts)
    ladder.saved = scored
    _draw(session, baseline, learned, ladder, plain, scored)
    return ladder


def _num_pages(solution: Solution) -> int:
    return len(solution.prompt.pages) if isinstance(solution.prompt, Committee) else 1


def _is_tested(session: Session[Querier], solution: Solution) -> bool:
    """Whether a prompt is scored on test: what is not saved as well, but not where somebody bills the answers."""
    return solution.is_better is not False or session.parts.model.access > Access.SCORES


def _in_memory(session: Session[Querier], solution: Solution, plain: Answered) -> Answered | None:
    """Returns the answers to the test images as learned; None for what is not worth their price."""
    if not _is_tested(session, solution):
        return None
    chosen = torch.arange(len(plain.labels))
    if isinstance(solution.prompt, Committee):
        return session.query_pages("test", solution.prompt.pages, chosen, replicates=(0,))
    return solution.test or session.query(
        "test",
        solution.canvas,
        chosen,
        prompt=solution.prompted,
        outputs=solution.outputs,
        replicates=(0,),
        partly=True,
    )


def _score_file(
    session: Session[Querier], baseline: Baseline, solution: Solution, test: Answered, ladder: Ladder
) -> SavedSolution | None:
    """Returns what was learned as its file answers; None if that does not validate better than nothing."""
    if solution.prompt is None:
        saved = SavedSolution(None, solution.output, solution.val, test)
        return saved if _is_better(solution, solution.val, baseline) else None
    decided = solution.is_better is not None
    # Not under its final name while undecided: an interrupted run must not leave a prompt there that was not chosen.
    path = session.folder.path / "prompt.png" if decided else session.folder.checkpoint("candidate.png")
    path.parent.mkdir(exist_ok=True)
    solution.prompt.save(path)
    if isinstance(solution.prompt, Committee):
        if not _is_better(solution, solution.val, baseline):
            return None
        pages = load_committee(path).pages
        answered = session.query_pages("test", pages, torch.arange(len(test.labels)), replicates=(0,))
        if isinstance(solution.output, CascadeOutput) and len(test.labels):
            full = _score(solution.output.full, solution.val, answered)
            ladder.notes.append(
                f"Further views are asked only where the first answer leaves doubt. Asked under all {len(pages)} for "
                f"every image, the test accuracy is {full.test or 0:.3f}."
            )
        return SavedSolution(solution.prompt, solution.output, solution.val, answered)
    reread = load(path)
    positions = baseline.val_positions
    val = session.query("val", reread.canvas, positions, overlay=reread.overlay, replicates=range(baseline.repeats))
    is_better = _is_better(solution, val, baseline)
    if not is_better and solution.prompted is not None:
        return None
    chosen = torch.arange(len(test.labels))
    answered = session.query("test", reread.canvas, chosen, overlay=reread.overlay, replicates=(0,))
    if solution.prompted is None:
        trained = _score(solution.output, solution.val, test)
        exported = _score(solution.output, val, answered)
        ladder.notes.append(
            f"In memory the prompt reaches {trained.test:.3f} on test, saved as a PNG {exported.test:.3f}."
        )
    elif is_better:
        ladder.max_pixel_error = _max_pixel_error(session, solution, reread, positions, chosen)
    return SavedSolution(solution.prompt, solution.output, val, answered) if is_better else None


def _is_better(solution: Solution, val: Answered | None, baseline: Baseline) -> bool:
    """Whether what was learned validates better than nothing."""
    if solution.is_better is not None or val is None:
        return bool(solution.is_better)
    return is_clearly_better(solution.output, val, baseline.fallback, baseline.val)


def is_clearly_better(output: OutputTransform, val: Answered, other: OutputTransform, plain: Answered) -> bool:
    """Whether a prompt validates better than none, and by its losses on the same images better than by chance.

    Both are read as surely as suits them: how sure a head is was chosen on images that its prompt has learned from.
    """
    both = val.mask & plain.mask
    labels, losses, right = plain.labels[both], [], []
    for read, answered in ((output, val), (other, plain)):
        logits = read.to("cpu")(answered.outputs[both])
        factor = best_factor([(logits, labels)])[1]
        losses.append(squared_errors((factor * logits).softmax(1).double(), labels))
        right.append(accuracy(logits, labels))
    return right[0] > right[1] and p_value_of(loss_score(*losses)) <= LEVEL


@torch.no_grad()
def _max_pixel_error(
    session: Session[Querier], solution: Solution, prompt: Prompt, val: Tensor | None, test: Tensor
) -> int:
    """Returns the largest difference, in 8-bit steps, between images prompted in memory and by the file."""
    largest = 0
    for name, chosen in (("val", val), ("test", test)) if len(test) else (("val", val),):
        pixels = session.canvases(name, solution.canvas).pixels
        positions = np.arange(len(pixels)) if chosen is None else chosen.numpy()
        for part in batches(len(positions)):
            block = np.asarray(pixels[positions[part]])
            if solution.prompted is not None:
                memory = solution.prompted(to_images(block, session.parts.device)).permute(0, 2, 3, 1)
                steps = (memory * 255).round().to(torch.int16).cpu()
                largest = max(largest, int((steps - torch.from_numpy(prompt.overlay(block)).short()).abs().max()))
    return largest


def _score(output: OutputTransform, val: Answered | None, test: Answered | None) -> Score:
    return score(output, *(each if each is not None and len(each.labels) else None for each in (val, test)))


def _changes(ladder: Ladder, baseline: Baseline, plain: Answered, scored: SavedSolution) -> tuple[Change, ...]:
    """Compares, image by image, the rungs without a prompt with each other and with what the run saves."""
    last = "prompt_float" if scored.prompt is None else "prompt_png"
    num = min(len(plain.labels), len(scored.test.labels))  # where a budget ends early, the first images have both
    chosen = torch.arange(num)[(plain.mask[:num] & scored.test.mask[:num])]
    if not len(chosen):
        return ()
    labels = plain.labels[chosen]
    readings = {"no_prompt": (baseline.output, plain), "output_only": (baseline.best, plain),
                last: (scored.output, scored.test)}  # fmt: skip
    right = {
        rung: (output.to("cpu")(answered.outputs[chosen]).argmax(1) == labels).numpy()
        for rung, (output, answered) in readings.items()
    }
    pairs = [("no_prompt", "output_only")] if baseline.best is not baseline.output else []
    if ladder.best != "none":
        pairs += [(rung, last) for rung in ("no_prompt", "output_only")]
    return tuple(paired_change(pair, right[pair[0]], right[pair[1]]) for pair in pairs)


def _notes(ladder: Ladder, solution: Solution | None, parts: Parts) -> list[str]:
    notes, rungs = [], ladder.rungs
    if solution is not None and ladder.best == "none":
        notes.append(
            "No prompt kept: none validates clearly better than the images as they are. The saved prompt is empty."
        )
    only, last = rungs["output_only"], rungs["prompt_png"] or rungs["prompt_float"]
    if only and last and only.val is not None and last.val is not None and only.val > last.val:
        what = solution.name if solution is not None else "prompt"
        notes.append(
            f"Without any {what}, output '{only.output}' validates better ({only.val:.3f} against {last.val:.3f}). "
            "It needs all numbers of the model's answers."
        )
    return notes


def _draw(
    session: Session[Querier],
    baseline: Baseline,
    learned: Learned,
    ladder: Ladder,
    plain: Answered,
    scored: SavedSolution,
) -> None:
    """Draws the curves, and before and after, on the images that were answered both times."""
    parts, states, images = session.parts, None, []
    both = plain.mask & scored.test.mask if len(plain.labels) == len(scored.test.labels) else torch.zeros(0)
    if bool(both.any()):
        places = both.nonzero().flatten().numpy()
        chosen = np.unique(np.linspace(0, len(places) - 1, NUM_IMAGES).astype(int))
        states = PreviewState(plain.only(both), baseline.fallback), PreviewState(scored.test.only(both), scored.output)
        canvases = session.canvases("test", parts.plain)
        before = np.asarray(canvases.pixels[places[chosen]])
        pages = () if scored.prompt is None else scored.prompt.pages
        names = [canvases.names[place] for place in places[chosen]]
        images = [before, *(session.page_pixels("test", page, names) for page in pages)]
    titles = ("without prompt", "with prompt")
    if scored.prompt is None:
        titles = (f"without, {baseline.output.kind}", parts.config.method.name)
    draw_run(
        session.folder.path,
        parts.data.classes,
        learned.history,
        metrics_of(ladder.rungs),
        scored.prompt,
        titles,
        states,
        images,
        none_kept(learned.searched),
    )


def make_result(
    session: Session[Querier],
    learned: Learned,
    ladder: Ladder,
    *,
    began: float,
    student: dict[str, Any] | None = None,
) -> Result:
    """Returns the result object.

    Args:
        began: When this session began, on the clock of `time.perf_counter`.
        student: What a local model makes of it; see `learn_student`.
    """
    parts, querier = session.parts, session.querier
    queries: dict[str, Any] = {**query_counts(querier, parts.config.search.price_per_1000), **learned.queries}
    if parts.words:
        queries["labels"] = len(parts.model.spec.labels or ())
    return Result(
        method=parts.config.method.name,
        model=parts.spec.name,
        data=parts.data.name,
        classes=parts.data.classes,
        counts={"train": learned.num_train, "val": learned.num_val, "test": ladder.num_test},
        parameters=learned.num_params,
        seed=parts.config.seed,
        accuracy=ladder.rungs,
        queries=queries,
        best=ladder.best,
        changes=ladder.changes,
        max_pixel_difference=ladder.max_pixel_error,
        train_images_per_second=learned.images_per_second,
        seconds=time.perf_counter() - began + learned.earlier_seconds,
        peak_memory_mb=peak_memory_mb(parts.device),
        notes=[*describe_labels(parts.model, parts.words), *learned.notes, *ladder.notes, *querier.notes],
        searched=learned.searched,
        student=student,
        **learned.facts,
    )
