"""Output transforms from answers: which kind serves best, and one per fold that was fitted without its images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ....core import ModelError, OutputTransform
from ....outputs import LinearForm
from ....seeds import stream
from ...answers import Answered, accuracy

__all__ = ["Choice", "CrossFit", "choose", "stratified_order"]

_Refit = Callable[[OutputTransform, Tensor, Tensor], OutputTransform]


def stratified_order(labels: Tensor, seed: int, name: str) -> Tensor:
    """Returns all positions (N,) in a random order whose every beginning holds the classes as evenly as it can."""
    generator = stream(seed, "order", name)
    shuffled = torch.randperm(len(labels), generator=generator)
    rank = torch.empty(len(labels), dtype=torch.int64)
    for label in sorted(set(labels.tolist())):
        own = shuffled[labels[shuffled] == label]
        rank[own] = torch.arange(len(own))
    return shuffled[torch.sort(rank[shuffled], stable=True).indices]


@dataclass(frozen=True)
class CrossFit:
    """A fitted transform, with one more per fold that was fitted without the images of that fold.

    A head fits the answers that it has seen, so its loss on those images says nothing about a prompt. Every image is
    read by the transform of its own fold instead.

    Attributes:
        full: Fitted on all answers; the one that is saved.
        held_out: One transform per fold; empty where the transform learns nothing.
    """

    full: OutputTransform
    held_out: tuple[OutputTransform, ...] = ()

    @classmethod
    def fit(cls, output: OutputTransform, answered: Answered, folds: Tensor) -> CrossFit:
        """Fits on answers whose images belong to the folds (M,)."""
        if not output.fits:
            return cls(output)
        return cls._around(output.refit(answered.outputs, answered.labels), answered, folds, _refit)

    def refit(self, answered: Answered, folds: Tensor) -> CrossFit:
        """Fits on other answers, quickly: a head keeps the strength of its penalty."""
        return self.around(_refit_quickly(self.full, answered.outputs, answered.labels), answered, folds)

    @classmethod
    def around(cls, full: OutputTransform, answered: Answered, folds: Tensor) -> CrossFit:
        """Adds to a transform that is fitted on answers those of the folds; a head's have its strength."""
        return cls._around(full, answered, folds, _refit_quickly)

    @classmethod
    def _around(cls, full: OutputTransform, answered: Answered, folds: Tensor, refit: _Refit) -> CrossFit:
        parts = []
        for fold in range(int(folds.max()) + 1):
            rest = folds != fold
            has_rest = bool(rest.any())
            parts.append(refit(full, answered.outputs[rest], answered.labels[rest]) if has_rest else full)
        return cls(full, tuple(parts))

    def logits(self, outputs: Tensor, folds: Tensor) -> Tensor:
        """Returns the logits (N, K) of outputs (N, S) whose images belong to the folds (N,)."""
        if not self.held_out:
            return self.full(outputs)
        logits = self.full(outputs).clone()
        for fold, output in enumerate(self.held_out):
            own = folds == fold
            if bool(own.any()):
                logits[own] = output(outputs[own])
        return logits


def _refit(output: OutputTransform, outputs: Tensor, labels: Tensor) -> OutputTransform:
    return output.refit(outputs, labels)


def _refit_quickly(output: OutputTransform, outputs: Tensor, labels: Tensor) -> OutputTransform:
    return output.refit_alike(outputs, labels) if isinstance(output, LinearForm) else output.refit(outputs, labels)


@dataclass(frozen=True)
class Choice:
    """A kind of output transform that was tried.

    Attributes:
        heads: Fitted, cross-fitted.
        accuracy: On images that the transform was not fitted on.
        loss: Mean cross-entropy there.
    """

    heads: CrossFit
    accuracy: float
    loss: float


def choose(
    make: Callable[[str], OutputTransform], kinds: Sequence[str], answered: Answered, folds: Tensor
) -> dict[str, Choice]:
    """Tries kinds of output transforms on the same answers, by cross-validation; the best comes first.

    Args:
        make: Kind -> a transform that is not fitted yet.
        kinds: To try; of two that are as good the earlier wins.
        answered: Labelled answers, (N, S); images without an answer do not count.
        folds: (N,), see `outputs.stratified_folds`.

    Raises:
        ModelError: None of the images was answered.
    """
    answered, folds = answered.complete, folds[answered.mask]
    if not len(folds):
        raise ModelError("every image was left without an answer; there is nothing to learn from.")
    choices = {}
    for kind in kinds:
        heads = CrossFit.fit(make(kind).to("cpu"), answered, folds)  # where the answers are
        logits = heads.logits(answered.outputs, folds)
        choices[kind] = Choice(heads, accuracy(logits, answered.labels), float(cross_entropy(logits, answered.labels)))
    best_first = sorted(choices, key=lambda kind: (-choices[kind].accuracy, choices[kind].loss))
    return {kind: choices[kind] for kind in best_first}
