"""Fitting an adapter inside a model: what a plain run and every trial of a search share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...adapters import WhiteBox
from ...data import CanvasSet
from ..answers import Answered, ask_all
from ..config.methods import make_adapter
from ..config.train_config import TrainConfig
from ..parts import Parts, pick_autocast
from ..report import Reporter
from ..saved.prompt_png import write_history
from ..seeds import stream
from .gradient import Fit, GradientFit, fit
from .inputs import TrainInputs

__all__ = ["ask_adapter", "counter", "fit_adapter", "new_adapter"]


def new_adapter(parts: Parts, seed: int) -> WhiteBox:
    """Returns the adapter of a run as it starts; its first numbers depend on the seed alone."""
    config = parts.config
    return make_adapter(config, parts.model, parts.data.classes, generator=stream(seed, "init")).to(parts.device)


def counter(parts: Parts) -> Callable[[int], None]:
    """Returns what counts the images that went through the backbone."""

    def count(num_images: int) -> None:
        parts.counted.num_images += num_images
        parts.counted.num_requests += 1

    return count


def fit_adapter(
    parts: Parts,
    config: TrainConfig,
    adapter: WhiteBox,
    train: TrainInputs,
    val: TrainInputs | None,
    reporter: Reporter,
    *,
    checkpoint: Path | None = None,
    folder: Path | None = None,
) -> Fit:
    """Fits an adapter.

    Args:
        parts: Of the run.
        config: Of this fit: seed, learning rate and weight decay may be other ones than the run's.
        adapter: To be fitted.
        train: The images that it learns from.
        val: The images on which its best epoch is chosen; None keeps the last one.
        reporter: Receives the progress.
        checkpoint: File to continue from, written after each epoch; None for none.
        folder: Run directory whose history is written; None for none.
    """
    autocast = pick_autocast(config.fit.precision, parts.device)
    work = GradientFit.of(config, adapter, train, val, reporter, device=parts.device, autocast=autocast)

    def on_epoch(state: Fit) -> None:
        if folder is not None:
            write_history(folder, state.history)
            reporter.epoch(state.history[-1])

    state = fit(work, epochs=work.epochs, checkpoint=checkpoint, counted=parts.counted, on_epoch=on_epoch)
    if folder is not None:
        write_history(folder, state.history)  # once more: a kill before the line must not lose it
    if state.best is not None:
        adapter.load_state_dict(state.best.state)
    adapter.eval()
    return state


def ask_adapter(parts: Parts, adapter: WhiteBox, canvases: CanvasSet, reporter: Reporter) -> Answered:
    """Returns a fitted adapter's logits for a split."""
    counter(parts)(len(canvases.labels))
    reporter.stage("score test", len(canvases.labels))
    return ask_all(adapter.outputs, canvases, device=parts.device, reporter=reporter)
