"""Zeroth-order search: a prompt learned from answers alone, with the output transform in the loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ....adapters import Prompter
from ....canvas import Canvas
from ....core import BudgetError, OutputTransform
from ....ledger import Journal
from ....optimizers import AskTell
from ....seeds import stream
from ...answers import Answered, mean_of
from ...session import Session
from ..gradients.losses import loss_of
from .cross_fit import CrossFit
from .stopping import worth_going_on

__all__ = ["Candidate", "OnlineReadout", "QuerySearch"]

_REFIT_RATIO = 1.2
"""The transform is fitted again after each of the first generations, later when they have grown by a fifth."""


@dataclass(frozen=True)
class Candidate:
    """A prompt, or none, with the output transform that reads its answers, as validated.

    Attributes:
        name: Where it comes from: "none", a start, "search", ...
        x: Parameters of the prompter, (D,); None without a prompt.
        output: Fitted.
        val: Its answers to the validation images.
        prompter: Prompts images by x; None without a prompt.
        num_validated: How many candidates were validated of which this is the best.
    """

    name: str
    x: Tensor | None
    output: OutputTransform
    val: Answered
    prompter: Prompter | None = None
    canvas: Canvas | None = None
    num_validated: int = 1

    @property
    def losses(self) -> Tensor:
        """Cross-entropy of each validation image that was answered, (V,)."""
        val = self.val.complete
        return cross_entropy(self.output(val.outputs), val.labels, reduction="none")

    @property
    def correct(self) -> Tensor:
        """Whether each validation image that was answered is read right, (V,)."""
        val = self.val.complete
        return self.output(val.outputs).argmax(1) == val.labels

    @property
    def rank(self) -> tuple[float, float]:
        """Accuracy, then the loss."""
        return float(self.correct.double().mean()), -float(self.losses.double().mean())

    def beats(self, other: Candidate) -> bool:
        """Whether it validates better than the other by more than chance gives the best of so many candidates.

        The gain, image by image, must exceed sqrt(2 ln num_validated) standard errors, about what the best of so many
        useless prompts reaches; at least one. (In experiments/query-economy prompts ahead by just one standard error
        lost more often than they won.) Only images that both answered count.
        """
        both = self.val.mask & other.val.mask
        first, second = (replace(each, val=each.val.only(both)) for each in (self, other))
        gains = first.correct.double() - second.correct.double()
        if len(gains) < 2:
            return False
        error = float(gains.std()) / len(gains) ** 0.5
        hurdle = max(1.0, math.sqrt(2 * math.log(max(1, self.num_validated))))
        return float(gains.mean()) > hurdle * error and first.rank > second.rank


class OnlineReadout:
    """Reads answers by an output transform that is fitted again on the latest ones, at no cost.

    Of each training image the latest answer is stored, so the transform is fitted on all images that were queried, most
    of them under a prompt that is not quite the present one.

    Args:
        heads: As fitted on the first answers.
        answered: Those answers, (M, S).
        chosen: Positions of their images, (M,).
        folds: (N,) of all training images.
        refits: Whether later answers change the transform.
    """

    def __init__(self, heads: CrossFit, answered: Answered, chosen: Tensor, folds: Tensor, *, refits: bool) -> None:
        self.heads, self.folds, self.refits = heads, folds, refits and heads.full.fits
        self._latest: dict[int, tuple[Tensor, Tensor]] = {}
        self._store(answered, chosen)

    def update(self, answers: Sequence[Tensor], labels: Tensor, chosen: Tensor) -> None:
        """Stores answers to the images at `chosen` (B,) under several candidates, each (B, S).

        Their mean is nearly the answer under the middle of the candidates; a mean of bare labels would be none.
        """
        mean = mean_of(list(answers))
        self._store(Answered(torch.where((mean == 0).any(), answers[0], mean), labels), chosen)

    def _store(self, answered: Answered, chosen: Tensor) -> None:
        complete, positions = answered.complete, chosen[answered.mask].tolist()
        self._latest |= zip(positions, zip(complete.outputs, complete.labels, strict=True), strict=True)

    def refit(self) -> None:
        """Fits the transform on the latest answers."""
        if self.refits:
            outputs, labels = (torch.stack(list(part)) for part in zip(*self._latest.values(), strict=True))
            self.heads = self.heads.refit(Answered(outputs, labels), self.folds[list(self._latest)])

    def logits(self, outputs: Tensor, chosen: Tensor) -> Tensor:
        """Returns the logits (B, K) of outputs (B, S), each by a transform that was not fitted on its image."""
        return self.heads.logits(outputs, self.folds[chosen])


@dataclass
class QuerySearch:
    """One search by an optimiser that sees losses only; `run` is its entry point.

    Attributes:
        canvas: Under the prompt.
        order: Positions of the training images, those with answers to no prompt first.
        val_positions: Positions of the validation images.
        generations: At most; each takes candidates x batch queries.
        best: The prompt that validated best so far; none before the first.
        points: (queries of this search, validation loss) so far.
        history: A line per validation.
    """

    session: Session[Journal]
    canvas: Canvas
    order: Tensor
    val_positions: Tensor
    prompter: Prompter
    optimizer: AskTell
    generations: int
    readout: OnlineReadout
    start: Candidate
    loss: str
    batch: int
    best: Candidate = field(init=False)
    points: list[tuple[int, float]] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.best, self.querier = self.start, self.session.querier
        self._began, self._begin, self._refit_at = time.perf_counter(), 0, 1

    def run(self, *, validations: int) -> str:
        """Searches, and returns why it ended: "done", "no gain in sight" or "budget".

        Args:
            validations: Spread evenly over the generations; each queries the validation images.
        """
        generations = self.generations
        marks = {round((index + 1) * generations / validations) for index in range(validations)}
        self._begin, total, since = self.querier.distinct, 0.0, 0
        for generation in range(1, generations + 1):
            try:
                total, since = total + self._step(generation), since + 1
                if generation not in marks:
                    continue
                self._validate(generation, total / since)
            except BudgetError:
                return "budget"
            total, since = 0.0, 0
            per_generation = (self.querier.distinct - self._begin) / generation
            if generation < generations and not worth_going_on(
                self.points, remaining=round(per_generation * (generations - generation))
            ):
                return "no gain in sight"
        return "done"

    def _step(self, generation: int) -> float:
        order = self.order
        first = (generation - 1) * self.batch
        epoch, where = divmod(first, len(order))
        chosen = self._shuffled(epoch)[where : where + self.batch]
        if len(chosen) < self.batch:
            chosen = torch.cat([chosen, self._shuffled(epoch + 1)[: self.batch - len(chosen)]])
        train = self.session.canvases("train", self.canvas)
        images = train.pixels.images(chosen.numpy(), self.session.parts.device)
        labels = torch.from_numpy(train.labels[chosen.numpy()].copy())
        prompted = torch.cat([self.prompter(images, x) for x in self.optimizer.ask()])
        answers = torch.split(self.session.outputs(prompted, replicates=(0,)), len(chosen))
        self.readout.update(answers, labels, chosen)
        if generation >= self._refit_at:
            self.readout.refit()
            self._refit_at = max(generation + 1, round(_REFIT_RATIO * generation))
        # By transforms fitted on answers under similar prompts, but not on those to the same image, and on the images
        # that were answered under each candidate: a missing answer must not favour one.
        answered = ~torch.stack(answers).isnan().any(2).any(0)
        losses = [0.0] * len(answers)
        if bool(answered.any()):
            logits = (self.readout.logits(each[answered], chosen[answered]) for each in answers)
            losses = [float(loss_of(self.loss, each, labels[answered])) for each in logits]
        self.optimizer.tell(losses)
        return sum(losses) / len(losses)

    def _shuffled(self, epoch: int) -> Tensor:
        order = self.order
        return order[torch.randperm(len(order), generator=stream(self.session.parts.config.seed, "search", epoch))]

    def _validate(self, generation: int, train_loss: float) -> None:
        x = self.optimizer.center.clone()
        candidate = self.candidate("search", x)
        accuracy, negative = candidate.rank
        self.points.append((self.querier.distinct - self._begin, -negative))
        if self.best.x is None or candidate.rank > self.best.rank:  # what is learned is reported, better or not
            self.best = candidate
        self.history.append(
            {
                "queries": self.querier.distinct,
                "generation": generation,
                "train_loss": train_loss,
                "val_loss": -negative,
                "val_accuracy": accuracy,
                "seconds": round(time.perf_counter() - self._began, 2),
            }
        )
        self.session.folder.write_history(self.history)
        self.session.reporter.epoch(self.history[-1])

    def candidate(self, name: str, x: Tensor) -> Candidate:
        """Validates a prompt, read by the better of two transforms: the present one and that of the start."""
        val = self.session.query("val", self.canvas, self.val_positions, prompt=self._under(x))
        outputs = (self.readout.heads.full, self.start.output)
        candidates = [Candidate(name, x, each, val, self.prompter, self.canvas) for each in outputs]
        return max(candidates, key=lambda each: each.rank)

    def _under(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda images: self.prompter(images, x)

    def with_final_head(self, size: int) -> Candidate:
        """Queries training images under the best prompt and fits the transform on just these answers."""
        best = self.best
        if best.x is None or best.rank <= self.start.rank or not best.output.fits or size == 0:
            return best
        train = self.session.query("train", self.canvas, self.order[:size], prompt=self._under(best.x))
        if not bool(train.mask.any()):
            return best
        output = best.output.refit(train.complete.outputs, train.complete.labels)
        refitted = replace(best, name=f"{best.name}, transform fitted again", output=output)
        return max(best, refitted, key=lambda each: each.rank)
