"""Fitting and scoring an adapter without a configuration or a run directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..adapters import PixelPrompt, WhiteBox
from ..core import ConfigError, ShapeError, UnknownName
from ..data import CanvasSet
from ..data.canvases import CanvasRows
from ..data.torch_dataset import CanvasDataset
from ..optimizers import OPTIMIZERS
from ..registry import suggest
from ..tensor_checks import check_images
from .answers import accuracy, query_canvases, reproducible
from .fit.gradients.epochs import Fit
from .fit.gradients.gradient import GradientFit, fit_by_gradients
from .fit.gradients.inputs import Images, TrainInputs, inputs_of
from .fit.gradients.losses import LOSSES
from .inputs.device_rows import on_device
from .inputs.devices import pick_autocast
from .progress import Reporter, Silent
from .result import Result
from .saved.evaluate import evaluate as evaluate_saved

__all__ = ["Labeled", "evaluate", "fit"]

Labels: TypeAlias = "npt.NDArray[Any] | Tensor | list[int]"
Labeled: TypeAlias = "CanvasDataset | CanvasSet | tuple[npt.NDArray[Any] | Tensor, Labels]"
"""A `CanvasDataset`, canvases with labels, or a pair of images and labels (N,).

Images are canvases (N, H, W, 3) uint8, or tensors (N, 3, H, W) in [0, 1], which are rounded to 8 bits.
"""


def fit(
    adapter: PixelPrompt | WhiteBox,
    train: Labeled,
    val: Labeled | None = None,
    *,
    epochs: int,
    optimizer: str | torch.optim.Optimizer = "adamw",
    lr: float = 0.003,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    warmup: int = 0,
    batch_size: int = 32,
    loss: str = "cross-entropy",
    precision: str = "fp32",
    seed: int = 0,
    checkpoint: str | Path | None = None,
    reporter: Reporter | None = None,
) -> Fit:
    """Fits an adapter by gradients, where it is, and leaves the best epoch in it, in evaluation mode.

    Args:
        adapter: A `PixelPrompt`, or what `make_white_box` returned.
        train: The images to learn from.
        val: The images on which the best epoch is chosen; None keeps the last one.
        epochs: Passes over the training images.
        optimizer: A name of OPTIMIZERS, made with the three settings that follow; or an optimiser over the adapter's
            parameters, with settings of its own.
        lr: Learning rate, which follows a cosine down to 0.
        momentum: Momentum, or the first beta of Adam.
        weight_decay: Weight decay.
        warmup: Steps of linear warm-up, at most half of all.
        batch_size: Images per step.
        loss: A name of LOSSES.
        precision: Of the steps: "fp32", "bf16", or "auto", which takes bf16 where the device computes in it.
        seed: Of the order of images and of all that is drawn.
        checkpoint: File that is written after every epoch, and continued from where it exists.
        reporter: Receives the progress: `Progress()` shows bars.

    Raises:
        ConfigError: A setting makes no sense, or the checkpoint belongs to another fit.
        ModelError: The loss is no longer finite.
        ShapeError: Images and labels do not belong together.
    """
    device = next(adapter.parameters()).device
    if isinstance(optimizer, str):
        optimizer = OPTIMIZERS[optimizer](adapter.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay)
    if epochs < 0 or batch_size < 1:
        raise ConfigError(f"expected epochs of at least 0 and batches of at least 1, got {epochs} and {batch_size}.")
    if loss not in LOSSES:
        raise UnknownName(f"unknown loss {loss!r}.{suggest(loss, LOSSES)} Known: {', '.join(LOSSES)}.")
    if precision not in ("fp32", "bf16", "auto"):
        raise ConfigError(f"precision must be fp32, bf16 or auto, got {precision!r}.")
    inputs: list[TrainInputs | None] = []
    for split in (train, val):
        canvases = None if split is None else on_device(canvases_of(split), str(device))
        if canvases is None or isinstance(adapter, PixelPrompt):
            inputs.append(None if canvases is None else Images(adapter, canvases, str(device)))
        else:
            inputs.append(inputs_of(adapter, canvases, str(device)))
    if inputs[0] is None or not len(inputs[0].labels):
        raise ShapeError("there are no images to learn from.")
    work = GradientFit(
        adapter, inputs[0], inputs[1], optimizer, reporter or Silent(), epochs=epochs, batch_size=batch_size,
        loss=loss, warmup=warmup, seed=seed, device=str(device), autocast=pick_autocast(precision, str(device)),
    )  # fmt: skip
    with reproducible():
        return fit_by_gradients(work, checkpoint=None if checkpoint is None else Path(checkpoint))


@overload
def evaluate(source: PixelPrompt | WhiteBox, images: Any, labels: Any, /) -> float: ...
@overload
def evaluate(source: str | Path, /, **options: Any) -> Result: ...
def evaluate(source: Any, images: Any = None, labels: Any = None, /, **options: Any) -> Result | float:
    """Scores an adapter on images, or a saved prompt or run on the splits of a data set.

    Args:
        source: An adapter; or a prompt PNG or a run directory.
        images: For an adapter: canvases (N, H, W, 3) uint8, or tensors (N, 3, H, W) in [0, 1].
        labels: For an adapter: (N,), indices of its classes.
        options: For a file: model, weights, data, device, workers, price_per_1000, reporter, calls; see
            `pixprompt.engine.saved.evaluate`.

    Returns:
        The share of images that the adapter labels right, in evaluation mode; or the result object.
    """
    if not isinstance(source, PixelPrompt | WhiteBox):
        return evaluate_saved(source, **options)
    canvases, training = canvases_of((images, labels)), source.training
    source.eval()
    try:
        with reproducible():
            answered = query_canvases(source.outputs, canvases, device=str(next(source.parameters()).device))
    finally:
        source.train(training)
    return accuracy(source.output.to("cpu")(answered.outputs), answered.labels)


def canvases_of(split: Labeled) -> CanvasSet:
    """Returns images and labels in one form.

    Raises:
        RangeError: Values lie outside [0, 1].
        ShapeError: They are no images, or there are not as many labels.
    """
    if isinstance(split, CanvasDataset):
        return split.canvases
    if isinstance(split, CanvasSet):
        return split
    images, labels = split
    if isinstance(images, Tensor) and images.is_floating_point():
        check_images(images, (images.shape[-2], images.shape[-1]))
        images = (images.detach() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    pixels, targets = np.asarray(images), np.asarray(labels, dtype=np.int64)
    if pixels.ndim != 4 or pixels.shape[3] != 3 or pixels.dtype != np.uint8 or targets.shape != (len(pixels),):
        raise ShapeError(
            f"expected canvases (N, H, W, 3) uint8 and N labels, got {pixels.dtype} {pixels.shape} and {targets.shape}."
        )
    places = np.stack([np.zeros_like(targets), np.arange(len(targets))], 1)
    rows = CanvasRows([pixels], places, (pixels.shape[1], pixels.shape[2], 3))
    return CanvasSet(rows, targets, tuple(map(str, range(len(pixels)))), ())
