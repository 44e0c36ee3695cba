"""Making and fitting an adapter within a run, once or in each trial of a grid search."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from ....adapters import OnEmbeddings, PixelPrompt, WhiteBox, make_white_box
from ....core import OutputTransform
from ....models import DualEncoder
from ....outputs import TextPrompts
from ....seeds import stream
from ...answers import Answered
from ...config.train_config import TrainConfig
from ...inputs.devices import pick_autocast
from ...parts import Parts
from ...progress import Reporter
from ...run_folder import RunFolder
from .epochs import Fit, Validated
from .gradient import GradientFit, fit_by_gradients
from .inputs import TrainInputs

__all__ = ["fit_adapter", "new_adapter", "new_prompt"]


def new_adapter(parts: Parts, seed: int) -> WhiteBox:
    """Returns the white-box adapter of a run as it starts; its first parameters depend on the seed alone."""
    config, generator = parts.config, stream(seed, "init")
    adapter = make_white_box(
        config.method, parts.model, parts.data.classes, generator=generator, **config.adapter.to_json()
    ).to(parts.device)
    if isinstance(adapter, OnEmbeddings) and isinstance(parts.model, DualEncoder):
        adapter.read(cast(TextPrompts, parts.output("text")))
    return adapter


def new_prompt(parts: Parts, output: OutputTransform) -> PixelPrompt:
    """Returns the pixel prompt of a run by gradients as it starts, read by an output transform of as many views."""
    config = parts.config
    options = {name: value for name, value in config.adapter.to_json().items() if value is not None}
    prompt: PixelPrompt = config.method.maker()(
        parts.template,
        parts.counted,
        output,
        generator=stream(config.seed, "init"),
        space=config.prompt.space,
        **options,
    )
    if prompt.views > 1:
        prompt.output = parts.output(views=prompt.views)
    return prompt.to(parts.device)


def fit_adapter(
    parts: Parts,
    config: TrainConfig,
    adapter: PixelPrompt | WhiteBox,
    train: TrainInputs,
    val: TrainInputs | None,
    reporter: Reporter,
    *,
    checkpoint: Path | None = None,
    folder: RunFolder | None = None,
    answers: Answered | None = None,
    start: Validated | None = None,
) -> Fit:
    """Fits an adapter and leaves its best epoch in it.

    Args:
        config: Of this fit: seed, learning rate and weight decay may be other ones than the run's.
        val: What its best epoch is chosen on; None keeps the last one.
        checkpoint: File to continue from, written after each epoch; None for none.
        folder: The run directory whose history is written; None for none.
        answers: See `GradientFit`.
        start: See `fit`.
    """
    autocast = pick_autocast(config.fit.precision, parts.device)
    work = GradientFit.of(
        config, adapter, train, val, reporter, device=parts.device, autocast=autocast, answers=answers
    )

    def on_epoch(state: Fit) -> None:
        if folder is not None:
            folder.write_history(state.history)
            reporter.epoch(state.history[-1])

    state = fit_by_gradients(work, checkpoint=checkpoint, counted=parts.counted, on_epoch=on_epoch, start=start)
    if folder is not None:
        folder.write_history(state.history)  # once more: a kill between a checkpoint and its line must not lose it
    return state
