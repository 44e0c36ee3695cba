"""Fitting a segmenter: crops in, SGD steps, selection on the validation part, a checkpoint after every epoch."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..canvas import Pixels
from ..core import ConfigError, ModelError
from ..engine.answers import to_images
from ..engine.fit.checkpoint import load_state, pack_optimizer, save_state, unpack_optimizer
from ..engine.report import Reporter
from ..engine.seeds import stream
from .ade20k import IGNORED, LabelledImages, Labels
from .config import SegmentConfig
from .crops import Crops
from .inference import Windows, confusion_of
from .segmenter import Segmenter

__all__ = ["Fit", "Fitting", "fit", "pixel_loss"]

_AUXILIARY_WEIGHT = 0.4
_INNER_SHARE = 0.1


@dataclass
class Fit:
    """Where a fit stands; what is written to and read from a checkpoint.

    Attributes:
        epoch: Epochs that are done.
        best: The epoch that validated best, its scores and, apart, its tensors.
        history: A line per epoch.
        train_seconds: Of the epochs without validation.
        seconds: Of all.
    """

    epoch: int = 0
    best: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    train_seconds: float = 0.0
    seconds: float = 0.0


@dataclass
class Fitting:
    """One fit; `fit` is its entry point.

    Attributes:
        identity: Digest of all that the numbers depend on; a checkpoint of another one is refused.
    """

    segmenter: Segmenter
    train: LabelledImages
    val: LabelledImages
    config: SegmentConfig
    device: str
    autocast: torch.dtype | None
    identity: str
    reporter: Reporter

    def __post_init__(self) -> None:
        config, heads = self.config, [*self.segmenter.head.parameters(), *self.segmenter.auxiliary.parameters()]
        share = 1.0 if config.method.startswith("vpt") else _INNER_SHARE
        inner_lr = config.lr * share if config.inner_lr is None else config.inner_lr
        groups = [{"params": heads, "lr": config.lr}]
        if len(self.segmenter.inner):
            groups.append({"params": list(self.segmenter.inner.parameters()), "lr": inner_lr})
        self.optimizer = torch.optim.SGD(groups, momentum=config.momentum, weight_decay=config.weight_decay)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.steps = -(-len(self.train) // config.batch_size)
        self.crops = Crops(self.segmenter.design.crop, self.segmenter.fill, photometric=config.photometric)

    def run_epoch(self, epoch: int) -> dict[str, float]:
        """Trains one epoch and returns its part of a line of history."""
        config, total = self.config, self.steps * self.config.epochs
        losses = hits = known = torch.zeros((), device=self.device)  # summed there: reading them would stall a GPU
        for step, (pixels, labels) in enumerate(self._batches(epoch), epoch * self.steps):
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * (1 - step / total) ** config.power
            loss, right, counted = self._step(to_images(pixels, self.device), torch.from_numpy(labels).to(self.device))
            losses, hits, known = losses + loss * len(pixels), hits + right, known + counted
            self.reporter.advance(len(pixels))
        if not torch.isfinite(losses):
            raise ModelError(f"the loss of epoch {epoch + 1} is not finite; a lower --lr than {config.lr} may help.")
        return {"train_loss": float(losses) / len(self.train), "train_accuracy": float(hits / known.clamp(min=1))}

    def _step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        kind = torch.device(self.device).type
        with torch.autocast(kind, dtype=self.autocast or torch.bfloat16, enabled=self.autocast is not None):
            logits, *others = self.segmenter.with_auxiliary(images)
        targets = labels.long()
        loss = pixel_loss(logits, targets)
        for other in others:
            loss = loss + _AUXILIARY_WEIGHT * pixel_loss(other, targets)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()
        return loss.detach(), (logits.detach().argmax(1) == targets).sum(), (targets != IGNORED).sum()

    def _batches(self, epoch: int) -> Iterator[tuple[Pixels, Labels]]:
        """Yields pixels (n, h, w, 3) and labels (n, h, w); the next batch is read while one is worked on."""
        order = torch.randperm(len(self.train), generator=stream(self.config.seed, "order", epoch))
        waiting: deque[list[Future[tuple[Pixels, Labels]]]] = deque()
        with ThreadPoolExecutor(self.config.workers) as pool:
            for chosen in torch.split(order, self.config.batch_size):
                waiting.append([pool.submit(self._crop, epoch, index) for index in chosen.tolist()])
                if len(waiting) > 1:
                    yield _stacked(waiting.popleft())
            yield _stacked(waiting.popleft())

    def _crop(self, epoch: int, index: int) -> tuple[Pixels, Labels]:
        # A stream per crop: what is drawn depends neither on the order of images nor on what threads do.
        image, labels = self.train.read(index)
        return self.crops.draw(image, labels, generator=stream(self.config.seed, "crop", epoch, index))

    def validate(self) -> dict[str, float]:
        """Returns the scores on the validation part, at one scale and in float32."""
        windows = Windows(self.segmenter, self.segmenter.design.crop, self.segmenter.fill, self.device)
        scores = confusion_of(windows, self.val, reporter=self.reporter).to_json()
        if scores["miou"] is None:
            raise ConfigError(
                f"no pixel of the {len(self.val)} images for selection has a label; "
                "raise --val-images or change --seed."
            )
        return {"val_miou": scores["miou"], "val_accuracy": scores["pixel_accuracy"]}


def pixel_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the pixels that have a label; 0 where none has.

    Args:
        logits: (N, K, H, W).
        labels: (N, H, W), 0..K-1 or IGNORED.
    """
    total = F.cross_entropy(logits.float(), labels, ignore_index=IGNORED, reduction="sum")
    return total / (labels != IGNORED).sum().clamp(min=1)


def fit(work: Fitting, checkpoint: Path, *, on_epoch: Callable[[Fit], None]) -> Fit:
    """Trains until the last epoch, from the checkpoint where there is one, and leaves the best numbers in place.

    Args:
        work: What is fitted, on what.
        checkpoint: File to resume from and to write after every epoch.
        on_epoch: Called after every checkpoint.

    Raises:
        ConfigError: The checkpoint belongs to other images, classes, settings or weights.
        ModelError: The loss is no longer finite.
    """
    done = _restore(work, checkpoint)
    epochs = work.config.epochs
    work.reporter.stage("train", (epochs - done.epoch) * (len(work.train) + len(work.val)))
    while done.epoch < epochs:
        began = time.perf_counter()
        line = {"epoch": done.epoch + 1, **work.run_epoch(done.epoch)}
        trained = time.perf_counter()
        scores = work.validate()
        rank = (scores["val_miou"], scores["val_accuracy"])
        if not done.best or rank > (done.best["val_miou"], done.best["val_accuracy"]):
            done.best = {"epoch": done.epoch + 1, **scores}
            done.state = {name: value.detach().clone() for name, value in work.segmenter.state_dict().items()}
        done.epoch += 1
        done.train_seconds += trained - began
        done.seconds += time.perf_counter() - began
        done.history.append({**line, **scores, "seconds": round(done.seconds, 2)})
        _save(work, done, checkpoint)
        on_epoch(done)
    work.segmenter.load_state_dict(done.state)
    return done


def _save(work: Fitting, done: Fit, path: Path) -> None:
    tensors, numbers = pack_optimizer(work.optimizer)
    tensors |= {f"now/{name}": value for name, value in work.segmenter.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in done.state.items()}
    kept = {name: getattr(done, name) for name in ("epoch", "best", "history", "train_seconds", "seconds")}
    save_state(path, tensors, {**kept, "optimizer": numbers, "identity": work.identity})


def _restore(work: Fitting, path: Path) -> Fit:
    found = load_state(path)
    if found is None:
        return Fit()
    tensors, values = found
    if values.pop("identity") != work.identity:
        raise ConfigError(
            f"{path.parent.parent} was started with other images, classes or weights than these. "
            "Bring those back, or start a new run."
        )
    work.segmenter.load_state_dict(_under("now/", tensors, work.device))
    unpack_optimizer(work.optimizer, tensors, values.pop("optimizer"))
    return Fit(**values, state=_under("best/", tensors, work.device))


def _under(prefix: str, tensors: dict[str, Tensor], device: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value.to(device) for name, value in tensors.items() if name.startswith(prefix)}


def _stacked(crops: list[Future[tuple[Pixels, Labels]]]) -> tuple[Pixels, Labels]:
    pixels, labels = zip(*(crop.result() for crop in crops), strict=True)
    return np.stack(pixels), np.stack(labels)
