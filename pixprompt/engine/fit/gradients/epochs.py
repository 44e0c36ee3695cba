"""Epochs, whatever is fitted: the best one is chosen on the validation split, a checkpoint is written after each."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ....adapters import PixelPrompt
from ....core import ConfigError, ModelError, OutputTransform, PixpromptError
from ....files.tensors import load_state, save_state
from ....models import DirectQuerier
from ....outputs import output_from_json
from ...answers import Answered
from ...progress import Reporter
from ...ranks import shared_counts

__all__ = ["Best", "Fit", "Validated", "Work", "check_finite", "fit", "pack_optimizer", "unpack_optimizer"]

Validated = tuple[tuple[float, ...], dict[str, float]]
"""How an epoch ranks, larger is better, and what the history says of it."""


@dataclass
class Best:
    """The epoch that ranked highest so far.

    Attributes:
        epoch: From 1; 0 for the start.
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
    """What is fitted, and how one epoch of it is trained and validated.

    Attributes:
        answers: The latest to the training images, where heads are fitted to them; None elsewhere.
    """

    answers: Answered | None

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
    start: Validated | None = None,
) -> Fit:
    """Trains until the last epoch, from the checkpoint where there is one.

    Args:
        work: What is fitted, on what; its module ends as it was after the last epoch.
        epochs: In all.
        checkpoint: File to resume from and to write after every epoch; None keeps no state on disk.
        identity: Digest of what the results depend on; a checkpoint of another one is refused.
        counted: The counting model of the adapter; its counts are saved and restored with the state.
        on_epoch: Called after every checkpoint.
        start: What the module validates before the first step, if it may win as epoch 0.

    Raises:
        ConfigError: The checkpoint belongs to other images, classes or weights.
        ModelError: The loss is no longer finite.
    """
    try:
        first = None if start is None else _candidate(work.module, 0, *start)
        state = _restore(work, checkpoint, identity) or Fit(best=first)
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
    if work.answers is not None:
        tensors["answers"] = work.answers.outputs
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
    if work.answers is not None:
        work.answers = replace(work.answers, outputs=tensors["answers"])
    if best is not None:
        best |= {"rank": tuple(best["rank"]), "output": revived(best["output"])}
        state.best = Best(**best, state=_under("best/", tensors, device))
    return state


def _under(prefix: str, tensors: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value.to(device) for name, value in tensors.items() if name.startswith(prefix)}


def pack_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Splits an optimiser's state into tensors ("optimizer/<parameter>/<name>") and scalars."""
    tensors, scalars = {}, {}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            key = f"optimizer/{index}/{name}"
            if isinstance(value, Tensor):
                tensors[key] = value.clone()  # the optimiser goes on writing to its own
            else:
                scalars[key] = value
    return tensors, scalars


def unpack_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
    """Restores what `pack_optimizer` took; the settings of the groups stay those of `optimizer`."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in [*tensors.items(), *scalars.items()]:
        if key.startswith("optimizer/"):
            _, index, name = key.split("/")
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
