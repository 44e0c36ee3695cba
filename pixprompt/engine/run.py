"""One run: from a configuration to a run directory with a prompt and a result."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch

from ..adapters import PixelPrompt
from ..core import Access, AccessError, ConfigError, Model
from ..data import Data
from ..files import make_folder, write_bytes, write_json
from .answers import Answered, ask_all
from .build import Parts, Split, build, pick_autocast
from .checkpoint import load_state, save_state
from .config import TrainConfig, run_config
from .finish import Ending, finish
from .gradient import Fit, GradientFit, fit
from .report import Reporter, Silent
from .result import Result
from .seeds import stream

__all__ = ["train"]


def train(
    config: TrainConfig,
    *,
    out: str | Path,
    resume: bool = False,
    reporter: Reporter | None = None,
    model: Model | None = None,
    data: Data | None = None,
) -> Result:
    """Learns a prompt and writes the run directory.

    Args:
        config: What to do.
        out: The run directory; new or empty, unless resuming.
        resume: Continue the run in `out` with the configuration saved there, to the numbers of a run never stopped.
        reporter: Hears about progress.
        model: Used instead of `config.model`.
        data: Used instead of `config.data`.

    Raises:
        AccessError: The model does not give the gradients that the method needs.
        ConfigError: The settings do not go together, or `out` already holds a run.
    """
    folder, reporter, began = Path(out), reporter or Silent(), time.perf_counter()
    if resume:
        config = run_config(folder)
    elif folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty. Choose another --out, or continue the run there with --resume.")
    parts = build(config, model=model, data=data)
    _check_access(parts)
    make_folder(folder / "checkpoint")
    write_json(folder / "config.json", parts.config.to_json())

    train_split, val_split = parts.split("train", reporter), parts.split("val", reporter)
    plain_train, plain_val = _plain_answers(parts, folder, train_split, val_split, reporter)
    own = parts.output()
    if own.fits:
        own = own.refit(plain_train.outputs, plain_train.labels)
    adapter = PixelPrompt(
        parts.template, parts.counted, own, generator=stream(config.seed, "init"), space=parts.config.space
    ).to(parts.device)
    state = _fit(parts, adapter, folder, train_split, val_split, reporter)
    ending = Ending(parts, folder, adapter, state, own, plain_train, plain_val, val_split, reporter)
    return finish(ending, began=began)


def _check_access(parts: Parts) -> None:
    needed = Access.GRADIENTS if parts.config.space == "pixel" else Access.INTERNALS
    if parts.model.access < needed:
        raise AccessError(
            f"method {parts.config.method!r} with optimizer {parts.config.optimizer!r} needs {needed.name} access, "
            f"but {parts.spec.name} offers {parts.model.access.name}. Use a differentiable local model."
        )


def _plain_answers(
    parts: Parts, folder: Path, train_split: Split, val_split: Split, reporter: Reporter
) -> tuple[Answered, Answered]:
    """Asks about train and val without any prompt; a resumed run reads the answers instead of asking again."""
    path = folder / "checkpoint" / "plain.safetensors"
    kept = load_state(path)
    if kept is not None:
        tensors, values = kept
        parts.counted.images, parts.counted.requests = values["images"], values["requests"]
    else:
        reporter.stage("no prompt", len(train_split.plain.labels) + len(val_split.plain.labels))
        tensors = {
            name: ask_all(parts.counted, split.plain, device=parts.device, reporter=reporter).outputs
            for name, split in (("train", train_split), ("val", val_split))
        }
        save_state(path, tensors, {"images": parts.counted.images, "requests": parts.counted.requests})
    return (
        Answered(tensors["train"], torch.from_numpy(np.array(train_split.plain.labels))),
        Answered(tensors["val"], torch.from_numpy(np.array(val_split.plain.labels))),
    )


def _fit(
    parts: Parts, adapter: PixelPrompt, folder: Path, train_split: Split, val_split: Split, reporter: Reporter
) -> Fit:
    path = folder / "checkpoint" / "state.safetensors"
    if adapter.output.fits and not path.exists() and not parts.starts_plain:
        reporter.stage("first mapping", len(train_split.prompt.labels))
        start = ask_all(adapter.outputs, train_split.prompt, device=parts.device, reporter=reporter)
        adapter.output = adapter.output.refit(start.outputs, start.labels)
    adapter.output = adapter.output.to(parts.device)
    work = GradientFit(
        adapter=adapter,
        train=train_split.prompt,
        val=val_split.prompt,
        config=parts.config,
        device=parts.device,
        autocast=pick_autocast(parts.config.precision, parts.device),
        reporter=reporter,
    )

    def on_epoch(state: Fit) -> None:
        lines = "".join(json.dumps(line) + "\n" for line in state.history)
        write_bytes(folder / "history.jsonl", lines.encode())
        reporter.epoch(state.history[-1])

    return fit(work, checkpoint=path, revive=parts.revive, counted=parts.counted, on_epoch=on_epoch)
