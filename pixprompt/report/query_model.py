"""Queries the model of a run for its report: predictions, saliency maps, t-SNE; never more than allowed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..core import Access, BudgetError, OutputTransform, PixpromptError
from ..engine import Deployed, Reporter, deploy
from ..engine.answers import batches, reproducible, to_images
from ..engine.inputs.opening import is_remote
from ..files.tensors import load_state
from ..plots import Pixels
from .embedding import tsne
from .evidence import MAX_SHOWN, Evidence, Predictions, ReportOptions
from .plan import Plan, plan_queries
from .run_files import RunFiles
from .saliency.maps import make_saliency_maps
from .sample import Sample, read_sample

__all__ = ["query_model"]


class _LimitedModel:
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


def query_model(run: RunFiles, options: ReportOptions, reporter: Reporter) -> Evidence:
    """Collects images, predictions, saliency maps and t-SNE of a run with a prompt."""
    deployed = _deployed(run, options)
    spec = None if isinstance(deployed, str) else deployed.model.spec
    sources = None if spec is None else spec.labels
    plan = _plan(run, options, deployed)
    skipped = {} if isinstance(plan, Plan) else {"model": plan}
    try:
        sample = read_sample(run, plan.images if isinstance(plan, Plan) else MAX_SHOWN, spec, reporter)
    except PixpromptError as error:
        reason = f"the images of the run cannot be read: {error}"
        return Evidence(sources=sources, skipped={"model": reason, **skipped, "images": reason})
    indices = np.unique(np.linspace(0, len(sample.labels) - 1, MAX_SHOWN).astype(int))
    if isinstance(deployed, str) or not isinstance(plan, Plan):
        return Evidence(sample, indices, sources=sources, skipped=skipped)
    with reproducible():
        return _collect(run, options, deployed, plan, sample, indices, reporter)


def _deployed(run: RunFiles, options: ReportOptions) -> Deployed | str:
    """Returns the run's prompt with its model, or why there is none."""
    if options.queries is None and _may_cost(run, options):
        return "a model that may be paid for is not queried without a limit; allow some queries with --queries N."
    if options.queries is not None and options.queries < 2 + _loading_queries(run, options):
        return f"--queries {options.queries} is too few: an image takes two, loading Python code takes one."
    try:
        return deploy(run.folder, model=options.model, weights=options.weights, device=options.device)
    except PixpromptError as error:
        return f"the model cannot be loaded: {error}"


def _may_cost(run: RunFiles, options: ReportOptions) -> bool:
    """Whether even loading the model may query what is paid for: Python code that may only answer, a URL."""
    model = options.model
    if model is None:
        return run.may_cost
    # One that is here already: what it allows is checked before it is queried.
    return isinstance(model, str) and (is_remote(model) or model.startswith("python:"))


def _loading_queries(run: RunFiles, options: ReportOptions) -> int:
    """Python code is called once with a grey image while it is loaded."""
    name = run.settings.get("model") if options.model is None else options.model
    return int(isinstance(name, str) and name.startswith("python:"))


def _plan(run: RunFiles, options: ReportOptions, deployed: Deployed | str) -> Plan | str:
    """Returns what to query, or why nothing is."""
    if isinstance(deployed, str):
        return deployed
    if deployed.model.access is Access.SCORES and options.queries is None:
        return f"{deployed.model.spec.name} only answers, and its queries may cost; allow some with --queries N."
    limit = None if options.queries is None else options.queries - _loading_queries(run, options)
    plan = plan_queries(options.images, limit, by_gradient=deployed.model.access is Access.INTERNALS)
    return plan or f"--queries {options.queries} is too few: every image takes two."


def _collect(
    run: RunFiles,
    options: ReportOptions,
    deployed: Deployed,
    plan: Plan,
    sample: Sample,
    shown: npt.NDArray[np.int64],
    reporter: Reporter,
) -> Evidence:
    model = _LimitedModel(deployed, options.queries, _loading_queries(run, options))
    skipped: dict[str, str] = {}
    saliency, points = None, None
    try:
        own, is_own = _own_output(run, options, deployed, sample)
        before, after = _answers(model, sample, reporter)
        predictions = Predictions(_softmax(own, before), _softmax(deployed.output.to("cpu"), after), is_own)
    except PixpromptError as error:
        reason = f"the model cannot be queried: {error}"
        return Evidence(sample, shown, queries=model.spent, skipped={"model": reason})
    try:
        probabilities = (torch.from_numpy(predictions.before), torch.from_numpy(predictions.after))
        scores = (partial(model.logits, own.to(deployed.device)), partial(model.logits, deployed.output))
        saliency = make_saliency_maps(deployed, scores, sample, probabilities, shown[: plan.pairs], plan, reporter)
    except PixpromptError as error:
        skipped["saliency"] = str(error)
    try:
        points = (tsne(before), tsne(after))
    except PixpromptError as error:
        skipped["points"] = str(error)
    return Evidence(sample, shown, predictions, saliency, points, deployed.model.spec.labels, model.spent, skipped)


def _answers(model: _LimitedModel, sample: Sample, reporter: Reporter) -> tuple[Tensor, Tensor]:
    """Returns the answers (n, S) without and with the prompt, on the CPU."""
    reporter.stage("report: answers", 2 * len(sample.labels))
    before = _answer(model, sample.before, reporter)
    # An empty prompt changes nothing, and the same question is not paid for twice.
    same = np.array_equal(sample.before, sample.after)
    return before, before if same else _answer(model, sample.after, reporter)


@torch.no_grad()
def _answer(model: _LimitedModel, pixels: Pixels, reporter: Reporter) -> Tensor:
    answers = []
    for part in batches(len(pixels)):
        answers.append(model(to_images(pixels[part], model.deployed.device)).float().cpu())
        reporter.advance(len(answers[-1]))
    return torch.cat(answers)


def _softmax(output: OutputTransform, answers: Tensor) -> npt.NDArray[np.float64]:
    probabilities: npt.NDArray[np.float64] = output(answers).double().softmax(1).numpy()
    return probabilities


def _own_output(
    run: RunFiles, options: ReportOptions, deployed: Deployed, sample: Sample
) -> tuple[OutputTransform, bool]:
    """Returns the output transform as the run fitted it without a prompt, from the answers that it stored."""
    output = deployed.output.to("cpu")
    if not output.fits:
        return output, True
    stored = load_state(Path(run.folder) / "checkpoint" / "plain.safetensors") if options.model is None else None
    if stored is None or len(stored[0].get("train", ())) != len(sample.train_labels):
        return output, False
    return output.refit(stored[0]["train"], torch.from_numpy(np.array(sample.train_labels))), True
