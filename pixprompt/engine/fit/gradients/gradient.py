"""Fitting an adapter by gradients: the steps of an epoch, and its rank on the validation images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ....adapters import PixelPrompt, WhiteBox
from ....core import OutputTransform
from ....optimizers import OPTIMIZERS, warmup_cosine
from ....outputs import stratified_folds
from ....seeds import stream
from ...answers import Answered, accuracy
from ...config.train_config import TrainConfig
from ...progress import Reporter
from ...ranks import Ranks, current_ranks
from ..answers.cross_fit import CrossFit
from .epochs import Fit, Validated, check_finite, fit
from .inputs import Images, TrainInputs
from .losses import loss_of

__all__ = ["GradientFit", "fit_by_gradients", "validated"]


@dataclass
class GradientFit:
    """An adapter, its images and how it is fitted: the `Work` of `fit`.

    Of several processes, each takes its share of every batch, and the gradients are added up: the steps are those of
    one process, to rounding. What is drawn for each image, dropout and augmentation, is drawn in each process. Where
    BatchNorm needs the whole batch, in a small head, every process takes all of it.

    Attributes:
        val: The images on which the best epoch is chosen; None keeps the last one.
        optimizer: Over the adapter's parameters; its learning rates are those after the warm-up.
        epochs: Planned, for the decay of the learning rate.
        loss: Of LOSSES.
        warmup: Steps of linear warm-up, at most half of all.
        seed: Of the order of images, the places of a random patch and dropout.
        autocast: Type of training steps; None for float32.
        answers: The latest to the training images, of a linear head: each image is read by a head that is fitted to
            them without its fold. A head that has seen an image reads it right, and a prompt learns from its loss to
            flatter it. None where one transform reads all.
        refits: Of those heads, per epoch.
    """

    module: PixelPrompt | WhiteBox
    train: TrainInputs
    val: TrainInputs | None
    optimizer: torch.optim.Optimizer
    reporter: Reporter
    epochs: int
    batch_size: int = 32
    loss: str = "cross-entropy"
    warmup: int = 0
    seed: int = 0
    device: str = "cpu"
    autocast: torch.dtype | None = None
    answers: Answered | None = None
    refits: int = 10

    def __post_init__(self) -> None:
        count = len(self.train.labels)
        self.steps = max(1, -(-count // self.batch_size) - (count % self.batch_size == 1))
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.folds = stratified_folds(torch.from_numpy(self.train.labels))
        self.held_out: tuple[OutputTransform, ...] = ()
        self.train.start()

    @classmethod
    def of(
        cls,
        config: TrainConfig,
        adapter: PixelPrompt | WhiteBox,
        train: TrainInputs,
        val: TrainInputs | None,
        reporter: Reporter,
        *,
        device: str,
        autocast: torch.dtype | None = None,
        answers: Answered | None = None,
    ) -> GradientFit:
        """Takes the settings of a configuration; see the attributes for the rest."""
        optimizer = OPTIMIZERS[config.fit.optimizer or "adam"](
            adapter.parameters(),
            lr=config.fit.lr or 0.0,
            momentum=config.fit.momentum or 0.0,
            weight_decay=config.fit.weight_decay or 0.0,
        )
        work = cls(
            adapter,
            train,
            val,
            optimizer,
            reporter,
            epochs=config.fit.epochs or 0,
            batch_size=config.fit.batch_size or 32,
            loss=config.fit.loss or "cross-entropy",
            seed=config.seed,
            device=device,
            autocast=autocast,
            answers=answers,
            refits=config.fit.refits,
        )
        work.warmup = config.fit.warmup or work.steps * (config.fit.warmup_epochs or 0)
        return work

    @property
    def num_images(self) -> int:
        """Images of one epoch."""
        rounds = 1 if self.answers is None else 2
        return rounds * len(self.train.labels) + (0 if self.val is None else len(self.val.labels))

    def run_epoch(self, epoch: int) -> dict[str, float]:
        """Trains one epoch, refits the output transform, and returns a line of history.

        A linear head is learned again from new answers to all training images, other transforms from those seen.
        """
        self._fit_heads()
        self.module.train()
        ranks = self._ranks()
        order = torch.randperm(len(self.train.labels), generator=stream(self.seed, "order", epoch))
        steps = self._batches(order)
        shares = [ranks.share(whole) for whole in steps]
        self.train.expect(torch.cat(shares))
        places = self._draws(epoch, ranks.rank)
        batches: list[tuple[Tensor, Tensor]] = []
        losses = hits = torch.zeros((), device=self.device)  # summed there: reading them each step would stall a GPU
        for step, (whole, chosen) in enumerate(zip(steps, shares, strict=True), epoch * self.steps):
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * self._rate(step)
            self.optimizer.zero_grad()
            if len(chosen):  # the last batch may have fewer images than there are processes
                outputs, right, loss = self._differentiate(chosen, len(chosen) / len(whole), places)
                losses, hits = losses + loss * len(whole), hits + right
                if self.module.output.refits_in_training:
                    batches.append((outputs, chosen))
            ranks.add_gradients(self.module.parameters())
            self.optimizer.step()
            self.module.constrain()
            self.reporter.advance(len(whole))
            count = step + 1 - epoch * self.steps  # after the last one all images are answered anew
            if self.answers is not None and count < self.steps and (step + 1) % max(1, self.steps // self.refits) == 0:
                indices = torch.cat(steps[:count])
                rows = self._gather(ranks, batches)[indices].cpu()
                self.answers = replace(self.answers, outputs=self.answers.outputs.index_copy(0, indices, rows))
                self._fit_heads()
        losses, hits = ranks.add(torch.stack([losses, hits]))
        check_finite(losses, epoch, max(self.rates))
        if self.answers is not None:
            self.module.eval()
            self.answers = self.train.answered(self.reporter)
            head = self.module.output.to("cpu").refit(self.answers.outputs, self.answers.labels)
            self.module.output = head.to(self.device)
        elif self.module.output.refits_in_training:
            self.module.output = self.module.output.refit(self._gather(ranks, batches)[order], self._labels(order))
        return {"train_loss": float(losses) / len(order), "train_accuracy": float(hits) / len(order)}

    def _gather(self, ranks: Ranks, batches: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Returns the outputs of all processes at the positions of their images, (N, S)."""
        return ranks.gather(
            [rows for rows, _ in batches], [at for _, at in batches], len(self.train.labels), self.device
        )

    def _fit_heads(self) -> None:
        """Fits a head to the latest answers without the images of each fold."""
        if self.answers is not None:
            heads = CrossFit.around(self.module.output.to("cpu"), self.answers, self.folds)
            self.held_out = tuple(each.to(self.device) for each in heads.held_out)

    def _draws(self, epoch: int, rank: int) -> torch.Generator:
        """Draws for the whole batch, a place, are the same in every process; those for each image are not."""
        each = isinstance(self.module, WhiteBox) or (isinstance(self.train, Images) and self.train.augment is not None)
        return stream(self.seed, "places", epoch, *((rank,) if rank and each else ()))

    def _ranks(self) -> Ranks:
        """This process among those that share a batch; alone where BatchNorm takes its statistics from the batch."""
        norms = [part for part in self.module.modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
        return Ranks() if any(norm.training for norm in norms) else current_ranks()

    def _labels(self, chosen: Tensor) -> Tensor:
        return torch.from_numpy(self.train.labels[chosen.numpy()]).to(self.device)

    def _batches(self, order: Tensor) -> tuple[Tensor, ...]:
        """Splits an order into steps; one image left over joins the step before, since it has no batch statistics."""
        parts = torch.split(order, self.batch_size)
        return (*parts[:-2], torch.cat(parts[-2:])) if len(parts) > self.steps else parts

    def _rate(self, step: int) -> float:
        total = self.steps * self.epochs
        return warmup_cosine(step, total=total, warmup=min(self.warmup, total // 2))

    def _differentiate(self, chosen: Tensor, share: float, places: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Returns outputs (n, S), how many are right, and the loss, as a share of that of the whole batch."""
        outputs, logits, loss = self._loss(chosen, places)
        torch.autograd.backward(share * loss)
        right = (logits.argmax(1) == self._labels(chosen)).sum()
        return outputs.detach().float(), right, share * loss.detach()

    def _loss(self, chosen: Tensor, places: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Returns outputs (n, S), logits (n, K) and the mean loss."""
        labels = self._labels(chosen)
        kind = torch.device(self.device).type
        with torch.autocast(kind, dtype=self.autocast or torch.bfloat16, enabled=self.autocast is not None):
            supervised = self.train.supervised(chosen, places)
        heads = CrossFit(self.module.output, self.held_out)
        weighted = [(weight, heads.logits(outputs.float(), self.folds[chosen])) for weight, outputs in supervised]
        loss = torch.stack([weight * loss_of(self.loss, logits, labels) for weight, logits in weighted]).sum()
        return supervised[0][1], weighted[0][1], loss

    def gradients(self, parameter: nn.Parameter) -> Iterator[Tensor]:
        """Yields the gradients of the loss by a parameter for batches of the training images, in evaluation mode."""
        self.module.eval()
        order = torch.arange(len(self.train.labels))
        self.train.expect(order)
        for chosen in torch.split(order, self.batch_size):
            with torch.enable_grad():  # whoever takes them may work without
                _, _, loss = self._loss(chosen, stream(self.seed, "places"))
            yield torch.autograd.grad(loss, parameter)[0]

    def finish(self, state: Fit) -> None:
        """Leaves the best epoch in the adapter, in evaluation mode, with all that validation images choose."""
        adapter = self.module
        if state.best is not None:
            adapter.load_state_dict(state.best.state)
            adapter.output = state.best.output or adapter.output
        adapter.eval()
        if self.val is not None:
            self.val.choose()

    def validate(self) -> Validated | None:
        """Ranks by accuracy, then by loss, of the 8-bit prompt and in float32."""
        if self.val is None:
            return None
        self.module.eval()
        return validated(self.module.output, self.val.answered(self.reporter))


def validated(output: OutputTransform, answered: Answered) -> Validated:
    """Ranks answers to validation images by accuracy, then by loss."""
    logits = output.to("cpu")(answered.outputs)
    right, loss = accuracy(logits, answered.labels), float(cross_entropy(logits, answered.labels))
    return (right, -loss), {"val_loss": loss, "val_accuracy": right}


def fit_by_gradients(work: GradientFit, *, checkpoint: Path | None = None, **options: Any) -> Fit:
    """Fits an adapter, again from its start where something of it was pruned, and leaves its best epoch in it.

    Args:
        work: The adapter, its images and how it is fitted.
        checkpoint: See `fit`; the training before the pruning has one of its own beside it.
        options: Further ones of `fit`.
    """
    adapter = work.module
    if isinstance(adapter, WhiteBox) and adapter.pruned is not None:
        start = {name: value.detach().clone() for name, value in adapter.named_parameters()}
        before = None if checkpoint is None else checkpoint.with_name(f"unpruned-{checkpoint.name}")
        fit(work, epochs=work.epochs, checkpoint=before, **options)
        adapter.prune(work.gradients(adapter.pruned))
        adapter.load_state_dict(start, strict=False)
        work.optimizer.state.clear()
    state = fit(work, epochs=work.epochs, checkpoint=checkpoint, **options)
    work.finish(state)
    return state
