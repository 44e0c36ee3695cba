"""What a report asks of the data and of the model: images before and after, answers, where the model looks."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..core import Access, BudgetError, Model, OutputTransform, PixpromptError
from ..engine import Deployed, Reporter, deploy
from ..engine.answers import batches, reproducible, to_images
from ..engine.fit.checkpoint import load_state
from ..optimizers import OPTIMIZERS
from ..plots import Pixels
from .embedding import embed
from .page.adapter import UNASKED
from .plan import Plan, plan_queries
from .run_files import RunFiles
from .saliency.maps import Gaze, look
from .sample import Sample, read_sample

__all__ = ["Answers", "Evidence", "Options", "examine"]

Labels = npt.NDArray[np.int64]
_SHOWN = 6


@dataclass(frozen=True)
class Options:
    """How much a report may ask.

    Attributes:
        model: Instead of the run's own; a name or a model.
        weights: Weights file of a model given by name.
        device: Where it runs.
        images: Most test images to answer.
        queries: Most queries to spend per run; None sets no limit to local models and forbids all others.
        use_model: False asks nothing.
    """

    model: str | Model | None = None
    weights: str | None = None
    device: str = "auto"
    images: int = 300
    queries: int | None = None
    use_model: bool = True


@dataclass(frozen=True)
class Answers:
    """The model's answers to the images of the sample.

    Attributes:
        before: (n, S) without prompt.
        after: (n, S) with it.
        shares_before: (n, K) softmax of the target logits, float64.
        shares_after: Likewise.
        output_before: What the answers without prompt were read with.
        own_before: Whether the run itself read them so.
    """

    before: Tensor
    after: Tensor
    shares_before: Tensor
    shares_after: Tensor
    output_before: OutputTransform
    own_before: bool


@dataclass(frozen=True)
class Evidence:
    """What could be shown of a run beyond its files.

    Attributes:
        sample: Some images of the test split.
        shown: Positions in the sample of the few that are shown.
        answers: The model's.
        gaze: Where it looks.
        points: t-SNE coordinates (n, 2) before and after.
        sources: Names of the model's outputs.
        queries: Images that the model was asked for this report.
        skipped: "images", "model", "gaze" or "points" -> why it is not there.
    """

    sample: Sample | None = None
    shown: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    answers: Answers | None = None
    gaze: Gaze | None = None
    points: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None
    sources: tuple[str, ...] | None = None
    queries: int = 0
    skipped: dict[str, str] = field(default_factory=dict)


class _Capped:
    """The model of a report, which never answers more images than allowed."""

    def __init__(self, deployed: Deployed, limit: int | None, spent: int) -> None:
        self.deployed, self.limit, self.spent = deployed, limit, spent

    def __call__(self, images: Tensor) -> Tensor:
        if self.limit is not None and self.spent + len(images) > self.limit:
            raise BudgetError(f"{len(images)} more images after {self.spent} exceed the {self.limit} queries allowed.")
        self.spent += len(images)
        return self.deployed.model(images)

    def logits(self, output: OutputTransform, images: Tensor) -> Tensor:
        """Returns target logits (n, K), read off the answers by an output transform."""
        return output(self(images).float())


def examine(run: RunFiles, options: Options, reporter: Reporter) -> Evidence:
    """Collects what the files of a run do not hold; what cannot be had is named with its reason."""
    if run.inside:
        return Evidence(skipped={"model": UNASKED})
    if run.prompt is None:
        return Evidence(skipped=dict.fromkeys(("images", "model"), f"prompt.png: {run.lacking['prompt.png']}"))
    deployed = _deployed(run, options)
    spec = None if isinstance(deployed, str) else deployed.model.spec
    sources = None if spec is None else spec.labels
    plan = _plan(run, options, deployed)
    skipped = {} if isinstance(plan, Plan) else {"model": plan}
    wanted = plan.images if isinstance(plan, Plan) else _SHOWN
    try:
        sample = read_sample(run, wanted, spec, reporter)
    except PixpromptError as error:
        reason = f"the images of the run cannot be read: {error}"
        return Evidence(sources=sources, skipped={"model": reason, **skipped, "images": reason})
    shown = np.unique(np.linspace(0, len(sample.labels) - 1, _SHOWN).astype(int))
    if isinstance(deployed, str) or not isinstance(plan, Plan):
        return Evidence(sample, shown, sources=sources, skipped=skipped)
    with reproducible():
        return _asked(run, options, deployed, plan, sample, shown, reporter)


def _deployed(run: RunFiles, options: Options) -> Deployed | str:
    """Returns the run's prompt with its model, or why there is none."""
    if not options.use_model:
        return "no model was asked (--no-model)."
    if options.queries is None and _may_cost(run, options):
        return "a model that may be paid for is not asked without a limit; allow some queries with --queries N."
    if options.queries is not None and options.queries < 2 + _loading_asks(run, options):
        return f"--queries {options.queries} is too few: an image is asked about twice, Python code once while loading."
    try:
        return deploy(run.folder, model=options.model, weights=options.weights, device=options.device)
    except PixpromptError as error:
        return f"the model cannot be loaded: {error}"


def _may_cost(run: RunFiles, options: Options) -> bool:
    """Whether even loading the model may ask something that is paid for: Python code that may only answer, a URL."""
    if isinstance(options.model, Model):
        return False  # it is here already; what it allows is checked before it is asked
    config = run.config or {}
    name = str(options.model or config.get("model", ""))
    learned_by_gradients = config.get("optimizer") in OPTIMIZERS and not any("queries" in line for line in run.history)
    by_gradients = options.model is None and learned_by_gradients
    return name.startswith(("http:", "https:")) or (name.startswith("python:") and not by_gradients)


def _loading_asks(run: RunFiles, options: Options) -> int:
    """Python code is called once with a grey image while it is loaded."""
    name = (run.config or {}).get("model") if options.model is None else options.model
    return int(isinstance(name, str) and name.startswith("python:"))


def _plan(run: RunFiles, options: Options, deployed: Deployed | str) -> Plan | str:
    if isinstance(deployed, str):
        return deployed
    if deployed.model.access is Access.SCORES and options.queries is None:
        return f"{deployed.model.spec.name} only answers, and its queries may cost; allow some with --queries N."
    limit = None if options.queries is None else options.queries - _loading_asks(run, options)
    plan = plan_queries(options.images, limit, by_gradient=deployed.model.access is Access.INTERNALS)
    return plan or f"--queries {options.queries} is too few: every image is asked about twice."


def _asked(
    run: RunFiles,
    options: Options,
    deployed: Deployed,
    plan: Plan,
    sample: Sample,
    shown: npt.NDArray[np.int64],
    reporter: Reporter,
) -> Evidence:
    model = _Capped(deployed, options.queries, _loading_asks(run, options))
    skipped: dict[str, str] = {}
    gaze, points = None, None
    try:
        answers = _answer(run, options, deployed, model, sample, reporter)
    except PixpromptError as error:
        reason = f"the model cannot be asked: {error}"
        return Evidence(sample, shown, queries=model.spent, skipped={"model": reason})
    try:
        shares = (answers.shares_before, answers.shares_after)
        scores = (
            partial(model.logits, answers.output_before.to(deployed.device)),
            partial(model.logits, deployed.output),
        )
        gaze = look(deployed, scores, sample, shares, shown[: plan.pairs], plan, reporter)
    except PixpromptError as error:
        skipped["gaze"] = str(error)
    try:
        points = (embed(answers.before), embed(answers.after))
    except PixpromptError as error:
        skipped["points"] = str(error)
    return Evidence(sample, shown, answers, gaze, points, deployed.model.spec.labels, model.spent, skipped)


def _answer(
    run: RunFiles, options: Options, deployed: Deployed, model: _Capped, sample: Sample, reporter: Reporter
) -> Answers:
    reporter.stage("report: answers", 2 * len(sample.labels))
    before = _ask(model, sample.before, deployed.device, reporter)
    # An empty prompt changes nothing, and the same question is not paid for twice.
    same = np.array_equal(sample.before, sample.after)
    after = before if same else _ask(model, sample.after, deployed.device, reporter)
    own, is_own = _own_output(run, options, deployed, sample.train_labels)
    after_output = deployed.output.to("cpu")
    return Answers(
        before,
        after,
        shares_before=own(before).double().softmax(1),
        shares_after=after_output(after).double().softmax(1),
        output_before=own,
        own_before=is_own,
    )


@torch.no_grad()
def _ask(model: _Capped, pixels: Pixels, device: str, reporter: Reporter) -> Tensor:
    found = []
    for part in batches(len(pixels)):
        found.append(model(to_images(pixels[part], device)).float().cpu())
        reporter.advance(len(found[-1]))
    return torch.cat(found)


def _own_output(
    run: RunFiles, options: Options, deployed: Deployed, train_labels: Labels
) -> tuple[OutputTransform, bool]:
    """The output transform as the run fitted it without a prompt, from the answers that it kept."""
    output = deployed.output.to("cpu")
    if not output.fits:
        return output, True
    kept = load_state(Path(run.folder) / "checkpoint" / "plain.safetensors") if options.model is None else None
    if kept is None or len(kept[0].get("train", ())) != len(train_labels):
        return output, False
    return output.refit(kept[0]["train"], torch.from_numpy(np.array(train_labels))), True
