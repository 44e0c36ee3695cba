"""Fitting a segmenter: random crops, SGD steps, the loss per pixel, selection by mIoU."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..canvas import Pixels
from ..core import ConfigError
from ..engine.answers import Answered, to_images
from ..engine.fit.gradients.epochs import Validated, check_finite
from ..engine.progress import Reporter
from ..seeds import stream
from .ade20k import IGNORED, LabeledImages, Labels
from .config import SegmentConfig
from .crops import Crops
from .inference import Windows, count_confusion
from .segmenter import Segmenter

__all__ = ["SegmenterFit", "pixel_loss"]

_AUXILIARY_WEIGHT = 0.4
_INNER_SHARE = 0.1


@dataclass
class SegmenterFit:
    """A segmenter, its images and its recipe: the `Work` of `engine.fit.gradient.fit`."""

    module: Segmenter
    train: LabeledImages
    val: LabeledImages
    config: SegmentConfig
    device: str
    autocast: torch.dtype | None
    reporter: Reporter
    answers: Answered | None = None

    def __post_init__(self) -> None:
        config, heads = self.config, [*self.module.head.parameters(), *self.module.auxiliary.parameters()]
        share = 1.0 if config.method.startswith("vpt") else _INNER_SHARE
        inner_lr = config.lr * share if config.inner_lr is None else config.inner_lr
        groups = [{"params": heads, "lr": config.lr}]
        if len(self.module.inner):
            groups.append({"params": list(self.module.inner.parameters()), "lr": inner_lr})
        self.optimizer = torch.optim.SGD(groups, momentum=config.momentum, weight_decay=config.weight_decay)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.steps = -(-len(self.train) // config.batch_size)
        self.crops = Crops(self.module.design.crop, self.module.fill, photometric=config.photometric)

    @property
    def num_images(self) -> int:
        """Images of one epoch."""
        return len(self.train) + len(self.val)

    def run_epoch(self, epoch: int) -> dict[str, float]:
        """Trains one epoch and returns its part of a line of history."""
        config, total = self.config, self.steps * self.config.epochs
        losses = hits = counts = torch.zeros((), device=self.device)  # summed there: reading them would stall a GPU
        for step, (pixels, labels) in enumerate(self._batches(epoch), epoch * self.steps):
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * (1 - step / total) ** config.power
            loss, right, counted = self._step(to_images(pixels, self.device), torch.from_numpy(labels).to(self.device))
            losses, hits, counts = losses + loss * len(pixels), hits + right, counts + counted
            self.reporter.advance(len(pixels))
        check_finite(losses, epoch, config.lr)
        return {"train_loss": float(losses) / len(self.train), "train_accuracy": float(hits / counts.clamp(min=1))}

    def _step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        kind = torch.device(self.device).type
        with torch.autocast(kind, dtype=self.autocast or torch.bfloat16, enabled=self.autocast is not None):
            logits, *others = self.module.with_auxiliary(images)
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
        pending: deque[list[Future[tuple[Pixels, Labels]]]] = deque()
        with ThreadPoolExecutor(self.config.workers) as pool:
            for indices in torch.split(order, self.config.batch_size):
                pending.append([pool.submit(self._crop, epoch, index) for index in indices.tolist()])
                if len(pending) > 1:
                    yield _stack(pending.popleft())
            yield _stack(pending.popleft())

    def _crop(self, epoch: int, index: int) -> tuple[Pixels, Labels]:
        # A stream per crop: what is drawn depends neither on the order of images nor on what threads do.
        image, labels = self.train.read(index)
        return self.crops.draw(image, labels, generator=stream(self.config.seed, "crop", epoch, index))

    def validate(self) -> Validated:
        """Ranks by mIoU, then by pixel accuracy, at one scale and in float32."""
        windows = Windows(self.module, self.module.design.crop, self.module.fill, self.device)
        scores = count_confusion(windows, self.val, reporter=self.reporter).to_json()
        if scores["miou"] is None:
            raise ConfigError(
                f"no pixel of the {len(self.val)} images for selection has a label; "
                "raise --val-images or change --seed."
            )
        miou, right = scores["miou"], scores["pixel_accuracy"]
        return (miou, right), {"val_miou": miou, "val_accuracy": right}


def pixel_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the pixels that have a label; 0 where none has.

    Args:
        logits: (N, K, H, W).
        labels: (N, H, W), 0..K-1 or IGNORED.
    """
    total = F.cross_entropy(logits.float(), labels, ignore_index=IGNORED, reduction="sum")
    return total / (labels != IGNORED).sum().clamp(min=1)


def _stack(crops: list[Future[tuple[Pixels, Labels]]]) -> tuple[Pixels, Labels]:
    pixels, labels = zip(*(crop.result() for crop in crops), strict=True)
    return np.stack(pixels), np.stack(labels)
