"""Fitting by gradients: epochs, selection on the validation split, a checkpoint after every epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ...adapters import PixelPrompt, WhiteBox
from ...core import ConfigError, ModelError, OutputTransform, PixpromptError
from ...models import DirectQuerier
from ...optimizers import OPTIMIZERS, warmup_cosine
from ...outputs import output_from_json
from ...seeds import stream
from ...tensor_file import load_state, save_state
from ..answers import accuracy
from ..config.train_config import TrainConfig
from ..progress.report import Reporter
from ..ranks import Ranks, current_ranks, shared_counts
from .checkpoint import pack_optimizer, unpack_optimizer
from .inputs import Images, TrainInputs
from .losses import loss_of

__all__ = ["Best", "Fit", "GradientFit", "Validated", "Work", "check_finite", "fit"]

Validated = tuple[tuple[float, ...], dict[str, float]]
"""How an epoch ranks, larger is better, and what the history says of it."""


@dataclass
class Best:
    """The epoch that ranked highest so far.

    Attributes:
        epoch: From 1.
        rank: Its rank; () where nothing is validated, and the last epoch counts.
        scores: What it validated, by the names in the history.
        state: The learned tensors.
        output: The output transform that was learned with them; None where there is none.
    """

    epoch: int
    rank: tuple[float, ...]
    scores: dict[str, float]
    state: dict[str, Tensor]
    output: OutputTransform | None = None


@dataclass
class Fit:
    """The state of a fit, as a checkpoint holds it.

    Attributes:
        epoch: Epochs that are done.
        best: The best of them.
        history: A line per epoch.
        train_seconds: Seconds of training, without validation.
        seconds: Seconds of both, over all sessions.
        images: Images that the model has answered.
        requests: Requests that carried them.
    """

    epoch: int = 0
    best: Best | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    train_seconds: float = 0.0
    seconds: float = 0.0
    images: int = 0
    requests: int = 0


class Work(Protocol):
    """What is fitted, and how one epoch of it is trained and validated."""

    @property
    def module(self) -> nn.Module:
        """Its state dict holds what is learned."""
        ...

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """Moves the parameters of the module."""
        ...

    @property
    def num_images(self) -> int:
        """Images of one epoch, those to validate on included."""
        ...

    @property
    def reporter(self) -> Reporter:
        """Receives the progress."""
        ...

    def run_epoch(self, epoch: int) -> dict[str, float]:
        """Trains epoch number `epoch`, from 0, and returns its part of a line of history."""
        ...

    def validate(self) -> Validated | None:
        """Ranks the module as it stands; None keeps the last epoch."""
        ...


@dataclass
class GradientFit:
    """An adapter, its images and how it is fitted: the `Work` of `fit`.

    Of several processes, each takes its share of every batch, and the gradients are added up: the steps are those of
    one process, to rounding. What is drawn for each image, dropout and augmentation, is drawn in each process. Where
    BatchNorm needs the whole batch, in a small head, every process takes all of it.

    Attributes:
        module: The adapter.
        train: The images to learn from.
        val: The images on which the best epoch is chosen; None keeps the last one.
        optimizer: Over the adapter's parameters; its learning rates are those after the warm-up.
        epochs: Planned, for the decay of the learning rate.
        batch_size: Images per step.
        loss: Of LOSSES.
        warmup: Steps of linear warm-up, at most half of all.
        seed: Of the order of images, the places of a random patch and dropout.
        device: Where the adapter works.
        autocast: Type of training steps; None for float32.
        reporter: Receives the progress.
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

    def __post_init__(self) -> None:
        count = len(self.train.labels)
        self.steps = max(1, -(-count // self.batch_size) - (count % self.batch_size == 1))
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
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
        )
        work.warmup = config.fit.warmup or work.steps * (config.fit.warmup_epochs or 0)
        return work

    @property
    def num_images(self) -> int:
        """Images of one epoch."""
        return len(self.train.labels) + (0 if self.val is None else len(self.val.labels))

    def run_epoch(self, epoch: int) -> dict[str, float]:
        """Trains one epoch, refits the output transform from the answers seen, and returns a line of history."""
        self.module.train()
        ranks = self._ranks()
        order = torch.randperm(len(self.train.labels), generator=stream(self.seed, "order", epoch))
        steps = self._batches(order)
        shares = [ranks.share(whole) for whole in steps]
        self.train.expect(torch.cat(shares))
        places = self._draws(epoch, ranks.rank)
        seen: list[tuple[Tensor, Tensor]] = []
        losses = hits = torch.zeros((), device=self.device)  # summed there: reading them each step would stall a GPU
        for step, (whole, chosen) in enumerate(zip(steps, shares, strict=True), epoch * self.steps):
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * self._rate(step)
            self.optimizer.zero_grad()
            if len(chosen):  # the last batch may have fewer images than there are processes
                outputs, right, loss = self._differentiate(chosen, len(chosen) / len(whole), places)
                losses, hits = losses + loss * len(whole), hits + right
                if self.module.output.refits_in_training:
                    seen.append((outputs, chosen))
            ranks.add_gradients(self.module.parameters())
            self.optimizer.step()
            self.module.constrain()
            self.reporter.advance(len(whole))
        losses, hits = ranks.add(torch.stack([losses, hits]))
        check_finite(losses, epoch, max(self.rates))
        if self.module.output.refits_in_training:
            outputs = ranks.gather([rows for rows, _ in seen], [at for _, at in seen], len(order), self.device)[order]
            self.module.output = self.module.output.refit(outputs, self._labels(order))
        return {"train_loss": float(losses) / len(order), "train_accuracy": float(hits) / len(order)}

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
        labels = self._labels(chosen)
        kind = torch.device(self.device).type
        with torch.autocast(kind, dtype=self.autocast or torch.bfloat16, enabled=self.autocast is not None):
            supervised = self.train.supervised(chosen, places)
        weighted = [(weight, self.module.output(outputs.float())) for weight, outputs in supervised]
        loss = share * torch.stack([weight * loss_of(self.loss, logits, labels) for weight, logits in weighted]).sum()
        torch.autograd.backward(loss)
        right = (weighted[0][1].argmax(1) == labels).sum()
        return supervised[0][1].detach().float(), right, loss.detach()

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
        answered = self.val.answered(self.reporter)
        logits = self.module.output.to("cpu")(answered.outputs)
        right, loss = accuracy(logits, answered.labels), float(cross_entropy(logits, answered.labels))
        return (right, -loss), {"val_loss": loss, "val_accuracy": right}


def check_finite(losses: Tensor, epoch: int, rate: float) -> None:
    """Refuses to go on after an epoch, counted from 0, whose losses are not finite.

    Raises:
        ModelError: They are not.
    """
    if not torch.isfinite(losses):
        raise ModelError(f"the loss of epoch {epoch + 1} is not finite; a lower --lr than {rate} may help.")


def fit(
    work: Work,
    *,
    epochs: int,
    checkpoint: Path | None = None,
    identity: str = "",
    counted: DirectQuerier | None = None,
    on_epoch: Callable[[Fit], None] = lambda _: None,
) -> Fit:
    """Trains until the last epoch, from the checkpoint where there is one.

    Args:
        work: What is fitted, on what; its module ends as it was after the last epoch.
        epochs: In all.
        checkpoint: File to resume from and to write after every epoch; None keeps no state on disk.
        identity: Digest of what the results depend on; a checkpoint of another one is refused.
        counted: The counting model of the adapter; its counts are saved and restored with the state.
        on_epoch: Called after every checkpoint.

    Raises:
        ConfigError: The checkpoint belongs to other images, classes or weights.
        ModelError: The loss is no longer finite.
    """
    try:
        state = _restore(work, checkpoint, identity) or Fit()
    except PixpromptError:
        raise
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise PixpromptError(f"{checkpoint} does not fit this run ({reason}). Delete it to start again.") from error
    if state.epoch and counted is not None:
        counted.num_images, counted.num_requests = state.images, state.requests
    work.reporter.stage("train", (epochs - state.epoch) * work.num_images)
    while state.epoch < epochs:
        began = time.perf_counter()
        with shared_counts(counted):
            line = {"epoch": state.epoch + 1, **work.run_epoch(state.epoch)}
            trained = time.perf_counter()
            rank, scores = work.validate() or ((), {})
        if not rank or state.best is None or rank > state.best.rank:
            state.best = _candidate(work.module, state.epoch + 1, rank, scores)
        state.epoch += 1
        state.train_seconds += trained - began
        state.seconds += time.perf_counter() - began
        line |= scores
        if counted is not None:
            state.images, state.requests = counted.num_images, counted.num_requests
            line["images"] = state.images
        state.history.append(line | {"seconds": round(state.seconds, 2)})
        if checkpoint is not None:
            _save(work, state, checkpoint, identity)
        on_epoch(state)
    return state


def _candidate(module: nn.Module, epoch: int, rank: tuple[float, ...], scores: dict[str, float]) -> Best:
    state = {name: value.detach().clone() for name, value in module.state_dict().items()}
    return Best(epoch, rank, scores, state, _output_of(module))


def _output_of(module: nn.Module) -> OutputTransform | None:
    """The output transform that is learned beside a module: that of a pixel prompt."""
    return module.output if isinstance(module, PixelPrompt) else None


def _save(work: Work, state: Fit, path: Path, identity: str) -> None:
    tensors, scalars = pack_optimizer(work.optimizer)
    tensors |= {f"now/{name}": value for name, value in work.module.state_dict().items()}
    values = {name: getattr(state, name) for name in ("epoch", "history", *_COUNTS)}
    output, best = _output_of(work.module), state.best
    values |= {"identity": identity, "optimizer": scalars, "output": output and output.to_json()}
    if best is not None:
        tensors |= {f"best/{name}": value for name, value in best.state.items()}
        values["best"] = {
            "epoch": best.epoch,
            "rank": best.rank,
            "scores": best.scores,
            "output": best.output and best.output.to_json(),
        }
    save_state(path, tensors, values)


_COUNTS = ("train_seconds", "seconds", "images", "requests")


def _restore(work: Work, path: Path | None, identity: str) -> Fit | None:
    saved = load_state(path) if path else None
    if path is None or saved is None:
        return None
    tensors, values = saved
    if values["identity"] != identity:
        raise ConfigError(
            f"{path.parent.parent} was started with other images, classes or weights than these. "
            "Bring those back, or start a new run."
        )
    module, best = work.module, values.pop("best", None)
    device = next(module.parameters()).device
    module.load_state_dict(_under("now/", tensors, device))
    unpack_optimizer(work.optimizer, tensors, values["optimizer"])
    state = Fit(**{name: values[name] for name in ("epoch", "history", *_COUNTS)})

    def revived(output: dict[str, Any]) -> OutputTransform | None:
        if not isinstance(module, PixelPrompt):
            return None
        return output_from_json(output, spec=module.model.spec).to(str(device))

    if isinstance(module, PixelPrompt):
        module.output = revived(values["output"]) or module.output
    if best is not None:
        best |= {"rank": tuple(best["rank"]), "output": revived(best["output"])}
        state.best = Best(**best, state=_under("best/", tensors, device))
    return state


def _under(prefix: str, tensors: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value.to(device) for name, value in tensors.items() if name.startswith(prefix)}
