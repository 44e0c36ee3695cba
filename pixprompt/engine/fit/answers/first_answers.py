"""The first queries of a run by answers: labelled images without a prompt, and checks of the model on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ....core import AnswerKind, ModelSpec
from ....ledger import Journal, open_vocabulary
from ....outputs import floor_of, stratified_folds
from ....replies import OTHER
from ....seeds import stream
from ...answers import Answered
from ...budget.noise import drifted, measure_noise, repeats
from ...session import Session
from .cross_fit import stratified_order

__all__ = ["FirstAnswers", "NoiseCheck", "check_drift", "check_noise", "query_first"]

_COMPARED = 2
"""Images that must be queried twice to tell noise."""
_MOST_OTHERS = 0.2
_LEAST_SHARE = 1e-3
"""Of the smallest probabilities even the last bits differ in their logarithms; they do not decide what is noise."""
_LAST_REPLICATE = 99
"""The replicate of the answers at the end; repeats have small numbers."""


@dataclass(frozen=True)
class FirstAnswers:
    """The answers to training images without a prompt.

    Attributes:
        order: Positions of all training images, (N,); the answered ones come first.
        folds: Fold of each training image, (N,), for cross-fitting.
        answered: The outputs of the first M in that order.
        floor: What a probability of 0 stands for, where the answers show how they are rounded.
    """

    order: Tensor
    folds: Tensor
    answered: Answered
    floor: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def positions(self) -> Tensor:
        """Positions of the answered images, (M,)."""
        return self.order[: len(self.answered.labels)]


@dataclass(frozen=True)
class NoiseCheck:
    """Images that were queried twice.

    Attributes:
        positions: Of training images, (n,).
        first: Their outputs, (n, S).
        second: Their outputs to the same query once more, (n, S).
        repeats: How often it pays to query each labelled image.
    """

    positions: Tensor
    first: Tensor
    second: Tensor
    repeats: int


def query_first(session: Session[Journal], count: int) -> FirstAnswers:
    """Queries the model about the first `count` training images, evenly over the classes.

    Raises:
        BudgetError: The budget does not pay for one.
    """
    parts, querier = session.parts, session.querier
    labels = torch.from_numpy(parts.data.train.labels.copy())
    order = stratified_order(labels, parts.config.seed, "train")
    folds = torch.empty(len(labels), dtype=torch.int64)
    folds[order] = stratified_folds(labels[order])
    vocabulary = open_vocabulary(parts.model)
    if vocabulary:
        vocabulary.expect(parts.data.classes)
    session.reporter.stage("no prompt", count)
    chosen = order[:count]
    answered = session.query("train", parts.plain, chosen, partly=True)
    if len(chosen) and not len(answered.labels):
        querier.budget.require(1)  # which is what the budget does not pay for
    chosen = chosen[: len(answered.labels)]
    if vocabulary and vocabulary.open:
        querier.close_vocabulary()
        answered = session.query("train", parts.plain, chosen)  # from memory: as wide as the vocabulary is now
    # Images that are left without an answer take no further part.
    order = torch.cat([chosen[answered.mask], order[len(chosen) :]])
    answered = answered.complete
    notes = _note_unknown_labels(answered, parts.spec.labels or ()) if vocabulary else ()
    rounded = len(answered.labels) and parts.spec.answer in (AnswerKind.PROBABILITIES, AnswerKind.TOP_K)
    return FirstAnswers(order, folds, answered, floor_of(answered.outputs) if rounded else None, notes)


def _note_unknown_labels(answered: Answered, labels: tuple[str, ...]) -> tuple[str, ...]:
    """Returns a note where the answers name labels that are not known: nothing can be learned from those."""
    if OTHER not in labels or not len(answered.labels):
        return ()
    share = float((answered.outputs.argmax(1) == labels.index(OTHER)).double().mean())
    if share <= _MOST_OTHERS:
        return ()
    return (
        f"{share:.0%} of the answers name none of the {len(labels) - 1} known labels. Say which labels the model "
        "answers with: an attribute `labels` of the callable.",
    )


def check_noise(
    session: Session[Journal], first: FirstAnswers, *, count: int, num_labeled: int, num_left: int
) -> NoiseCheck | None:
    """Queries a few images twice; None where too few were answered to tell.

    Args:
        count: Images to query again.
        num_labeled: Images whose queries would be repeated.
        num_left: Queries left for that.
    """
    chosen = first.positions[:count]
    again = session.query("train", session.parts.plain, chosen, replicates=(1,), partly=True)
    mask = again.mask
    if int(mask.sum()) < _COMPARED:
        return None
    before = first.answered.outputs[: len(mask)][mask]
    noise = measure_noise(before, again.complete.outputs, transform=_logarithms(session.parts.spec))
    times = repeats(noise, images=num_labeled, num_left=num_left)
    return NoiseCheck(chosen[: len(mask)][mask], before, again.complete.outputs, times)


def _logarithms(spec: ModelSpec) -> Callable[[Tensor], Tensor]:
    """Returns what an output transform applies first: the logarithm of probabilities."""
    if spec.answer in (AnswerKind.PROBABILITIES, AnswerKind.TOP_K):
        return lambda outputs: outputs.clamp_min(_LEAST_SHARE).log()
    return lambda outputs: outputs


def check_drift(session: Session[Journal], noise: NoiseCheck) -> bool:
    """Queries once more what was queried twice: a model that changed meanwhile spoils what was learned."""
    after = session.query("train", session.parts.plain, noise.positions, replicates=(_LAST_REPLICATE,), partly=True)
    mask = after.mask
    if len(after.labels) < len(noise.positions) or int(mask.sum()) < _COMPARED:
        return False
    draws = stream(session.parts.config.seed, "drift")
    return drifted(noise.first[mask], noise.second[mask], after.outputs[mask], generator=draws)
