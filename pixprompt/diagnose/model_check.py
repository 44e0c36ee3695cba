"""The check of a model: its accuracy on a few labelled images without any prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..canvas import Canvas
from ..core import Access, ConfigError, Model, OutputTransform
from ..data import Data
from ..data.splits import draw_shots
from ..engine.answers import Answered, query_canvases
from ..engine.fit.answers.cross_fit import choose
from ..engine.parts import canvases_of, model_output
from ..engine.progress import Reporter
from ..engine.result import wilson
from ..ledger import Querier, open_vocabulary, probe_queries
from ..models import text_encoder
from ..outputs import candidates, pretty, stratified_folds

__all__ = ["ModelCheck", "check_model", "images_per_class"]

_FOLDS = 5
_PREPOSITIONS = re.compile(r" (?:for|of|with|in|on|to|from) ")
_MIN_IMAGES = 2


@dataclass(frozen=True)
class ModelCheck:
    """What the model's answers to a few labelled images say; accuracies by cross-validation.

    Attributes:
        queries: Images that the model was queried about, including those that probed the form of the answers.
        images: That could be read; all others are shares of these.
        classes: K.
        accuracy: Without a prompt, with the best output transform that is no head; None where there is no such one.
        ci95: Wilson interval of it.
        output: Kind of that transform.
        head: With a linear head on the same answers.
        head_ci95: Wilson interval of it.
        known_names: Share of the classes whose name the model knows; None where it has neither labels nor texts.
        names_by: How that was measured.
        gradients: Whether a prompt can be learned with gradients.
        answer: Kind of its answers, an `AnswerKind`.
    """

    model: str
    queries: int
    images: int
    classes: int
    accuracy: float | None
    ci95: tuple[float, float] | None
    output: str | None
    head: float
    head_ci95: tuple[float, float]
    known_names: float | None
    names_by: str
    gradients: bool
    answer: str
    num_outputs: int
    train: int

    def to_json(self) -> dict[str, Any]:
        """Returns the `model` of the diagnosis object."""
        return asdict(self)


def images_per_class(labelled: int, budget: int | None, num_classes: int, *, spent: int = 0) -> int:
    """Returns how many labelled images of each class are queried.

    Args:
        labelled: Wanted, per class.
        budget: Queries that may be spent, or None.
        num_classes: K.
        spent: Queries spent before.

    Raises:
        ConfigError: Fewer than two per class are wanted or can be paid.
    """
    count = labelled if budget is None else min(labelled, (budget - spent) // num_classes)
    if count < _MIN_IMAGES:
        probing = f", {spent} of them spent to learn the form of its answers," if spent else ""
        limit = f"--labelled {labelled}" if labelled < _MIN_IMAGES else f"a budget of {budget} queries{probing}"
        raise ConfigError(
            f"{limit} gives {max(0, count)} images for each of {num_classes} classes; cross-validation needs at least "
            f"{_MIN_IMAGES}, which is {_MIN_IMAGES * num_classes} queries. Raise it, or leave out --model."
        )
    return count


def check_model(
    querier: Querier,
    data: Data,
    *,
    labelled: int,
    budget: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    workers: int = 0,
    reporter: Reporter,
) -> ModelCheck:
    """Queries a model for a few labelled training images and compares output transforms on its answers.

    Args:
        querier: Of any model; only its answers are used.
        labelled: Images per class.
        budget: Queries that may be spent.
        seed: Decides which images, and the folds of the head.
        workers: Threads that decode images.

    Raises:
        ConfigError: See `images_per_class`.
        ModelError: It answers nonsense, or about none of the images.
    """
    model, probe_count = querier.model, probe_queries(querier.model)
    count = images_per_class(labelled, budget, len(data.classes), spent=probe_count)
    indices = draw_shots(data.train.labels, count, seed=seed, purpose="train shots")
    vocabulary = open_vocabulary(model)
    if vocabulary:
        vocabulary.expect(data.classes)
    canvases = canvases_of(data.train.subset(indices), Canvas.for_model(model.spec), workers, reporter, "read labelled")
    querier.announce(querier.new_queries([np.asarray(canvases.pixels)]), reporter.note)
    reporter.stage("query the model", len(canvases.labels))
    answered = query_canvases(querier, canvases, device=device, batch_size=querier.chunk, reporter=reporter).complete
    kinds = candidates(model.spec, text_encoder(model) is not None, classes=data.classes)
    make = partial(_output, model=model, data=data, seed=seed)
    scores = choose(make, kinds, answered, stratified_folds(answered.labels, _FOLDS))
    best = next((kind for kind in scores if kind != "linear"), None)
    total = len(answered.labels)
    known, names_by = _known_names(model, data, answered)
    accuracy = None if best is None else scores[best].accuracy
    return ModelCheck(
        model=model.spec.name,
        queries=probe_count + querier.queries,
        images=total,
        classes=len(data.classes),
        accuracy=accuracy,
        ci95=None if accuracy is None else wilson(round(accuracy * total), total),
        output=best,
        head=scores["linear"].accuracy,
        head_ci95=wilson(round(scores["linear"].accuracy * total), total),
        known_names=known,
        names_by=names_by,
        gradients=model.access >= Access.GRADIENTS,
        answer=model.spec.answer.value,
        num_outputs=answered.outputs.shape[1],
        train=len(data.train),
    )


def _output(kind: str, model: Model, data: Data, seed: int) -> OutputTransform:
    """Builds an output transform on the CPU, where the answers are."""
    return model_output(kind, model, data, seed=seed, encode_text=text_encoder(model)).to("cpu")


def _known_names(model: Model, data: Data, answered: Answered) -> tuple[float | None, str]:
    """Returns the share of classes that the model knows by name, and how that was measured."""
    if text_encoder(model) is not None:
        logits = _output("text", model, data, 0)(answered.outputs)
        return share_known_by_text(logits, answered.labels, len(data.classes)), (
            "classes whose images, averaged, are closest to the text of their own name"
        )
    if model.spec.labels:
        return share_known_by_label(data.classes, model.spec.labels), "classes that a label of the model is named after"
    return None, "the model has neither labels nor texts"


def share_known_by_text(logits: Tensor, labels: Tensor, num_classes: int) -> float:
    correct = [int(logits[labels == k].mean(0).argmax()) == k for k in range(num_classes) if bool((labels == k).any())]
    return float(torch.tensor(correct).double().mean())


def share_known_by_label(classes: Sequence[str], labels: Sequence[str]) -> float:
    """Returns the share of names that a label ends with: "cat" in "tabby cat", not "three" in "three-toed sloth".

    What follows a preposition is no end: "two" is not known by "bicycle-built-for-two".
    """
    parts = {pretty(part) for label in labels for part in label.split(",")}
    heads = [_PREPOSITIONS.split(part)[0].split() for part in parts]
    names = [pretty(name) for name in classes]
    known = (name in parts or any(head[-len(name.split()) :] == name.split() for head in heads) for name in names)
    return sum(known) / len(names)
