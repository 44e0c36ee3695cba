"""One run: from a configuration to a run directory with a prompt and a result."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..adapters import PixelPrompt
from ..core import ConfigError, Model
from ..data import Data
from ..files import make_folder, write_json
from .answers import ask_all, reproducible
from .baseline import identity_of, plain_answers
from .budget.plan import allocation_of, check_budget
from .config.train_config import TrainConfig, run_config
from .finish import Ending, finish
from .fit.gradient import Fit, GradientFit, fit
from .fit.inputs import Images
from .fit.inside_fit import new_adapter
from .fit.prompt_search import check_search
from .inside_run import run_inside
from .parts import Parts, Split, build, pick_autocast
from .query_run import run_queries
from .report import Reporter, Silent
from .result import Result, read_result
from .saved.prompt_png import write_history
from .seeds import stream

__all__ = ["train"]


def train(
    config: TrainConfig,
    *,
    out: str | Path,
    resume: bool = False,
    changes: Mapping[str, Any] | None = None,
    reporter: Reporter | None = None,
    model: Model | None = None,
    data: Data | None = None,
) -> Result:
    """Learns a prompt and writes the run directory.

    Args:
        config: What to do.
        out: The run directory; new or empty, unless resuming.
        resume: Continue the run in `out` with the configuration saved there, to the numbers of a run never stopped.
        changes: Settings of FREE that are other ones now, when resuming.
        reporter: Hears about progress.
        model: Used instead of `config.model.name`.
        data: Used instead of `config.data.name`.

    Raises:
        AccessError: The model does not give the gradients that the method needs.
        ConfigError: The settings do not go together, or `out` already holds a run.
    """
    folder, reporter, began = Path(out), reporter or Silent(), time.perf_counter()
    given = config = run_config(folder) if resume else config
    if resume:
        config = config.with_values(**(changes or {}))
        if (folder / "result.json").exists():
            reporter.note(f"{folder} is finished; this is its result.")
            return read_result(folder / "result.json")
        for left in folder.rglob(".*.tmp"):  # of `write_bytes`, where the run was killed in the midst of one
            left.unlink(missing_ok=True)
    elif folder.is_dir() and any(not path.match(".*.tmp") for path in folder.iterdir()):
        raise ConfigError(f"{folder} is not empty. Choose another --out, or continue the run there with --resume.")
    with reproducible():
        parts = build(config, model=model, data=data)
        if parts.by_answers:
            check_search(parts, allocation_of(parts))
            _claim(folder, _as_given(parts.config, config, given), resume)
            return run_queries(parts, folder, reporter, began=began)
        check_budget(parts)
        if parts.config.method.white_box:
            new_adapter(parts, parts.config.seed)  # what does not fit the model shows here
            _claim(folder, parts.config, resume)
            return run_inside(parts, folder, reporter, began=began)
        return _run(parts, folder, resume, reporter, began)


def _run(parts: Parts, folder: Path, resume: bool, reporter: Reporter, began: float) -> Result:
    config, own = parts.config, parts.output()
    adapter = PixelPrompt(
        parts.template, parts.counted, own, generator=stream(config.seed, "init"), space=config.prompt.space
    ).to(parts.device)
    _claim(folder, config, resume)  # not before here: what is wrong with the settings has shown
    # The test images too are read now, so that a file that is in the way is found before the hours of training.
    train_split, val_split, test_split = (parts.split(name, reporter) for name in ("train", "val", "test"))
    identity = identity_of(parts, own, train_split, val_split)
    plain_train, plain_val = plain_answers(parts, folder, identity, train_split, val_split, reporter)
    if own.fits:
        adapter.output = own = own.refit(plain_train.outputs, plain_train.labels)
    fitting = time.perf_counter()
    state = _fit(parts, adapter, folder, train_split, val_split, reporter)
    began += time.perf_counter() - fitting - state.seconds  # the epochs of earlier sessions count, too
    ending = Ending(parts, folder, adapter, state, own, plain_train, plain_val, val_split, test_split, reporter)
    return finish(ending, began=began)


def _as_given(resolved: TrainConfig, config: TrainConfig, first: TrainConfig) -> TrainConfig:
    """Returns what to save of a run by answers.

    What money pays for follows from the price each time, and a decision about requests in doubt is about those alone.
    """
    budget = resolved.search.budget if config.search.max_cost is None else config.search.budget
    return resolved.with_values(budget=budget, in_doubt=first.endpoint.in_doubt)


def _claim(folder: Path, config: TrainConfig, resume: bool) -> None:
    """Makes the run directory this run's own; of two runs that start at once, one is refused."""
    make_folder(folder)
    if resume:
        write_json(folder / "config.json", config.to_json())
        return
    path, temporary = folder / "config.json", folder / f".config-{os.urandom(8).hex()}.json.tmp"
    write_json(temporary, config.to_json())
    try:
        os.link(temporary, path)  # at once and whole: a run that is killed here has claimed nothing, or can be resumed
    except FileExistsError as error:
        raise ConfigError(f"another run has just started in {folder}. Choose another --out.") from error
    except OSError:
        write_json(path, config.to_json())  # a file system without links; two runs at once go unnoticed there
    finally:
        temporary.unlink(missing_ok=True)


def _fit(
    parts: Parts, adapter: PixelPrompt, folder: Path, train_split: Split, val_split: Split, reporter: Reporter
) -> Fit:
    path = folder / "checkpoint" / "state.safetensors"
    if adapter.output.fits and not path.exists() and not parts.starts_plain:
        reporter.stage("first mapping", len(train_split.prompt.labels))
        start = ask_all(adapter.outputs, train_split.prompt, device=parts.device, reporter=reporter)
        adapter.output = adapter.output.refit(start.outputs, start.labels)
    adapter.output = adapter.output.to(parts.device)
    work = GradientFit.of(
        parts.config,
        adapter,
        Images(adapter, train_split.prompt, parts.device),
        Images(adapter, val_split.prompt, parts.device),
        reporter,
        device=parts.device,
        autocast=pick_autocast(parts.config.fit.precision, parts.device),
    )

    def on_epoch(state: Fit) -> None:
        write_history(folder, state.history)
        reporter.epoch(state.history[-1])

    state = fit(work, epochs=work.epochs, checkpoint=path, counted=parts.counted, on_epoch=on_epoch)
    write_history(folder, state.history)  # once more: a kill between a checkpoint and its line must not lose the line
    return state
