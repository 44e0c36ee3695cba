"""The gradient engine: epochs over canvases, selection on the validation split, a checkpoint after every epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...adapters import PixelPrompt, WhiteBox
from ...core import ModelError, OutputTransform
from ...models import DirectQuerier
from ...optimizers import OPTIMIZERS, warmup_cosine
from ..answers import accuracy
from ..config.train_config import TrainConfig
from ..losses import loss_of
from ..report import Reporter
from ..seeds import stream
from .checkpoint import load_state, pack_optimizer, save_state, unpack_optimizer
from .inputs import Feed

__all__ = ["Best", "Fit", "GradientFit", "fit"]


@dataclass
class Best:
    """The candidate that validated best so far, after `epoch` epochs."""

    epoch: int
    val_accuracy: float
    val_loss: float
    state: dict[str, Tensor]
    output: OutputTransform


@dataclass
class Fit:
    """Where a fit stands; what is written to and read from a checkpoint."""

    epoch: int = 0
    best: Best | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    train_seconds: float = 0.0
    seconds: float = 0.0
    images: int = 0
    requests: int = 0


@dataclass
class GradientFit:
    """One fit of an adapter by gradients; `fit` is its entry point.

    Attributes:
        val: What candidates are chosen on; None keeps the last one.
    """

    adapter: PixelPrompt | WhiteBox
    train: Feed
    val: Feed | None
    config: TrainConfig
    device: str
    autocast: torch.dtype | None
    reporter: Reporter

    def __post_init__(self) -> None:
        config = self.config
        self.optimizer = OPTIMIZERS[config.optimizer or "adam"](
            self.adapter.parameters(),
            lr=config.lr or 0.0,
            momentum=config.momentum,
            weight_decay=config.weight_decay or 0.0,
        )
        self.batch = config.batch_size or 32
        count = len(self.train.labels)
        self.steps = max(1, -(-count // self.batch) - (count % self.batch == 1))
        self.total = self.steps * (config.epochs or 0)
        self.warmup = config.warmup or self.steps * (config.warmup_epochs or 0)

    def run_epoch(self, epoch: int) -> dict[str, float]:
        """Trains one epoch, refits the output transform from the answers seen, and returns a line of history."""
        order = torch.randperm(len(self.train.labels), generator=stream(self.config.seed, "order", epoch))
        places = stream(self.config.seed, "places", epoch)
        seen: list[tuple[Tensor, Tensor]] = []
        self.adapter.train()
        losses = hits = torch.zeros((), device=self.device)  # summed there: reading them each step would stall a GPU
        for step, chosen in enumerate(self._batches(order), epoch * self.steps):
            labels = torch.from_numpy(self.train.labels[chosen.numpy()]).to(self.device)
            for group in self.optimizer.param_groups:
                group["lr"] = (self.config.lr or 0.0) * self._rate(step)
            outputs, logits, loss = self._step(chosen, labels, places)
            losses, hits = losses + loss * len(chosen), hits + (logits.argmax(1) == labels).sum()
            if self.adapter.output.refits_in_training:
                seen.append((outputs, labels))
            self.reporter.advance(len(chosen))
        if not torch.isfinite(losses):
            raise ModelError(
                f"the loss of epoch {epoch + 1} is not finite; a lower --lr than {self.config.lr} may help."
            )
        if seen:
            outputs, labels = (torch.cat(parts) for parts in zip(*seen, strict=True))
            self.adapter.output = self.adapter.output.refit(outputs, labels)
        count = len(self.train.labels)
        return {"train_loss": float(losses) / count, "train_accuracy": float(hits) / count}

    def _batches(self, order: Tensor) -> tuple[Tensor, ...]:
        """Splits an order into steps; one image left over joins the step before, since it has no batch statistics."""
        parts = torch.split(order, self.batch)
        return (*parts[:-2], torch.cat(parts[-2:])) if len(parts) > self.steps else parts

    def _rate(self, step: int) -> float:
        return warmup_cosine(step, total=self.total, warmup=min(self.warmup, self.total // 2))

    def _step(self, chosen: Tensor, labels: Tensor, places: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        kind = torch.device(self.device).type
        with torch.autocast(kind, dtype=self.autocast or torch.bfloat16, enabled=self.autocast is not None):
            found = self.train.supervised(chosen, places)
        name = self.config.loss or "cross-entropy"
        read = [(share, self.adapter.output(outputs.float())) for share, outputs in found]
        loss = torch.stack([share * loss_of(name, logits, labels) for share, logits in read]).sum()
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.adapter.constrain()
        return found[0][1].detach().float(), read[0][1].detach(), loss.detach()

    def validate(self) -> tuple[float, float]:
        """Returns accuracy and loss on the validation split, of the 8-bit prompt and in float32; NaN without one."""
        if self.val is None:
            return math.nan, math.nan
        self.adapter.eval()
        found = self.val.answered(self.reporter)
        logits = self.adapter.output.to("cpu")(found.outputs)
        return accuracy(logits, found.labels), float(cross_entropy(logits, found.labels))

    def candidate(self, epoch: int, val_accuracy: float, val_loss: float) -> Best:
        """Returns the adapter as it stands, with what it validated."""
        state = {name: value.detach().clone() for name, value in self.adapter.state_dict().items()}
        return Best(epoch, val_accuracy, val_loss, state, self.adapter.output)


def fit(
    work: GradientFit,
    *,
    checkpoint: Path | None,
    revive: Callable[[dict[str, Any]], OutputTransform],
    counted: DirectQuerier,
    on_epoch: Callable[[Fit], None],
) -> Fit:
    """Trains until the last epoch, from the checkpoint where there is one.

    Args:
        work: What is fitted, on what.
        checkpoint: File to resume from and to write after every epoch; None keeps no state on disk.
        revive: Builds an output transform from its JSON.
        counted: The counting model of the adapter; its counts are saved and restored with the state.
        on_epoch: Called after every checkpoint.
    """
    state = _restore(work, checkpoint, revive) or Fit()
    if state.epoch:
        counted.num_images, counted.num_requests = state.images, state.requests
    epochs = work.config.epochs or 0
    num_val = 0 if work.val is None else len(work.val.labels)
    work.reporter.stage("train", (epochs - state.epoch) * (len(work.train.labels) + num_val))
    while state.epoch < epochs:
        began = time.perf_counter()
        line = {"epoch": state.epoch + 1, **work.run_epoch(state.epoch)}
        trained = time.perf_counter()
        val_accuracy, val_loss = work.validate()
        rank = (val_accuracy, -val_loss)
        if work.val is None or state.best is None or rank > (state.best.val_accuracy, -state.best.val_loss):
            state.best = work.candidate(state.epoch + 1, val_accuracy, val_loss)
        state.epoch += 1
        state.train_seconds += trained - began
        state.seconds += time.perf_counter() - began
        state.images, state.requests = counted.num_images, counted.num_requests
        if work.val is not None:
            line |= {"val_loss": val_loss, "val_accuracy": val_accuracy}
        state.history.append(line | {"images": state.images, "seconds": round(state.seconds, 2)})
        if checkpoint is not None:
            _save(work, state, checkpoint)
        on_epoch(state)
    return state


def _save(work: GradientFit, state: Fit, path: Path) -> None:
    tensors, numbers = pack_optimizer(work.optimizer)
    tensors |= {f"adapter/{name}": value for name, value in work.adapter.state_dict().items()}
    values = {
        "epoch": state.epoch,
        "history": state.history,
        "train_seconds": state.train_seconds,
        "seconds": state.seconds,
        "images": state.images,
        "requests": state.requests,
        "optimizer": numbers,
        "output": work.adapter.output.to_json(),
    }
    if state.best is not None:
        tensors |= {f"best/{name}": value for name, value in state.best.state.items()}
        values["best"] = {
            "epoch": state.best.epoch,
            "val_accuracy": state.best.val_accuracy,
            "val_loss": state.best.val_loss,
            "output": state.best.output.to_json(),
        }
    save_state(path, tensors, values)


def _restore(work: GradientFit, path: Path | None, revive: Callable[[dict[str, Any]], OutputTransform]) -> Fit | None:
    found = load_state(path) if path else None
    if found is None:
        return None
    tensors, values = found
    work.adapter.load_state_dict(_under("adapter/", tensors, work.device))
    work.adapter.output = revive(values["output"]).to(work.device)
    unpack_optimizer(work.optimizer, tensors, values["optimizer"])
    best = values.pop("best", None)
    kept = {name: values[name] for name in ("epoch", "history", "train_seconds", "seconds", "images", "requests")}
    state = Fit(**kept)
    if best is not None:
        best["output"] = revive(best["output"]).to(work.device)
        state.best = Best(**best, state=_under("best/", tensors, work.device))
    return state


def _under(prefix: str, tensors: dict[str, Tensor], device: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value.to(device) for name, value in tensors.items() if name.startswith(prefix)}
