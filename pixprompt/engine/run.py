"""One run: from a configuration to a run directory with a prompt or an adapter, and a result."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core import ConfigError, Model
from ..data import Data
from ..files import write_bytes, write_json
from .answers import reproducible
from .config.groups import DataSettings, ModelSettings
from .config.train_config import TrainConfig, default_folder, run_config
from .inputs.run_inputs import checked_model, describe_labels, outline
from .inputs.trust import check_trusted, trust_named
from .ladder import make_result, score_ladder
from .learners.answers_learner import AnswersLearner
from .learners.by_answers import ByAnswers
from .learners.by_gradients import ByGradients
from .learners.by_grid_search import ByGridSearch
from .learners.by_views import ByViews
from .learners.learned import Learner
from .parts import Parts, build
from .progress import Progress, Reporter, Silent
from .ranks import current_ranks, join_processes, shared_folder
from .result import Result, read_result
from .run_folder import RunFolder
from .saved.model_card import model_card
from .student import describe_student, learn_student

__all__ = ["LEARNERS", "plan", "train"]

LEARNERS: Mapping[str, type[Learner[Any, Any]]] = {
    "gradients": ByGradients,
    "answers": ByAnswers,
    "views": ByViews,
    "grid search": ByGridSearch,
}
"""`Parts.mode` -> the way of learning."""


def train(
    config: TrainConfig,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    changes: Mapping[str, Any] | None = None,
    reporter: Reporter | None = None,
    progress: bool = False,
    model: Model | None = None,
    data: Data | None = None,
) -> Result:
    """Learns a prompt or an adapter and writes the run directory.

    Of several processes that torchrun has started, each learns from a share of every batch, and the first one writes.

    Args:
        out: The run directory; new or empty, unless resuming. See `default_folder`.
        resume: Continue the run in `out` with the configuration saved there, to the results of a run never stopped.
        changes: Settings of FREE that are other ones now, when resuming.
        progress: Show it on stderr or in a notebook where there is no reporter.
        model: Used instead of `config.model.name`.
        data: Used instead of `config.data.name`.

    Raises:
        AccessError: The model gives less than the method needs.
        BudgetError: The budget does not even pay for the first labelled answers.
        ConfigError: The settings do not go together, or `out` already holds a run.
    """
    if out is None and resume:
        raise ConfigError("a run is resumed in its own directory: say which, out=...")
    if out is None:
        name = config.model.name if model is None else checked_model(model).spec.name
        out = default_folder(name, data.name if data else config.data.name, config.method.name, config.seed)
    reporter, began = reporter or (Progress() if progress else Silent()), time.perf_counter()
    with join_processes(), shared_folder(out, resume=resume) as path, reproducible():
        return _train(config, RunFolder.open(path, resume=resume), changes, reporter, began, model, data)


def _train(
    config: TrainConfig,
    folder: RunFolder,
    changes: Mapping[str, Any] | None,
    reporter: Reporter,
    began: float,
    model: Model | None,
    data: Data | None,
) -> Result:
    resume = folder.resumed
    saved = run_config(folder.path) if resume else config
    config = saved.with_values(**(changes or {})) if resume else config
    if resume and folder.result.exists():
        reporter.note(f"{folder.path} is finished; this is its result.")
        return read_result(folder.result)
    if resume:
        check_trusted(config.options(), folder.path, except_for=() if model is None else ("model",))
    with folder:
        parts = build(config, model=model, data=data)
        if not resume and current_ranks().rank == 0:
            trust_named(parts.config.options())
        if current_ranks().size > 1 and parts.mode not in ("gradients", "grid search"):
            raise ConfigError(
                "a run that learns from answers asks one model within one budget, and more processes would ask it "
                "again: start it without torchrun. Those that learn by gradients take several."
            )
        learner = LEARNERS[parts.mode](parts)  # builds the rest; whatever is wrong with the settings shows here
        folder.claim(_to_save(parts, config, saved).to_json())
        for line in _first_lines(parts):
            reporter.note(line)
        with learner.open(folder, reporter) as session:
            baseline = learner.measure_baseline(session)
            learned = learner.learn(session, baseline)
            ladder = score_ladder(session, baseline, learned)
            student = None
            if isinstance(learner, AnswersLearner):
                student = learn_student(session, baseline, learned, ladder, learner.allocation.student)
            result = make_result(session, learned, ladder, began=began, student=student)
    card = model_card(result, parts.config, preview=(folder.path / "preview.png").exists())
    write_bytes(folder.path / "README.md", card.encode())
    write_json(folder.path / "test.json", {"schema": 1, "images": ladder.images, "right": ladder.right})
    folder.write_result(result.to_json())  # last: it says that the run is finished
    return result


def _to_save(parts: Parts, config: TrainConfig, first: TrainConfig) -> TrainConfig:
    """Returns the configuration to save.

    What money pays for follows from the price each time, and a decision about requests in doubt is about those alone.
    """
    resolved = parts.config
    if parts.mode not in ("answers", "views"):
        return resolved
    return resolved.with_values(
        budget=resolved.search.budget if config.search.max_cost is None else config.search.budget,
        in_doubt=first.endpoint.in_doubt,
    )


def plan(parts: Parts) -> dict[str, Any]:
    """Returns the parameters, images, queries, cost and outlook of a run; queries the model no further.

    Raises:
        AccessError: The model gives less than the method needs.
        ConfigError: What `train` would refuse.
    """
    learner = LEARNERS[parts.mode](parts)
    queries = learner.queries()
    total = queries.pop("total", None) or sum(queries.values())
    return {
        **outline(parts.config, parts.model, parts.data, total),
        "parameters": learner.num_params,
        "queries": {**queries, "total": total},
        "outlook": [
            *describe_labels(parts.model, parts.words),
            *describe_student(parts, queries.get("student", 0)),
            *learner.outlook(),
        ],
    }


def _first_lines(parts: Parts) -> list[str]:
    """Returns what a run says before it begins; a name that nobody would have had to type is marked."""
    config, data = parts.config, parts.data
    splits = {"train": data.train, "val": data.val, "test": data.test}
    sizes = ", ".join(f"{len(images):,} {split}" for split, images in splits.items())
    place = f"; from {data.source}" if data.source else ""
    model = _marked(parts.model.spec.name, ModelSettings.name)
    images = f"{len(data.classes)} classes, {sizes} images"
    return [
        f"model   {model}",
        f"data    {_marked(data.name, DataSettings.name)}: {images}{place}",
        *(f"        {note}" for note in data.notes),
        f"recipe  {config.method.name}, preset {config.preset}: {_recipe(parts)}",
    ]


def _marked(name: str, default: str) -> str:
    return f"{name} (the default)" if name == default else name


def _recipe(parts: Parts) -> str:
    fit, search = parts.config.fit, parts.config.search
    values = {
        "optimizer": fit.optimizer,
        "learning rate": fit.lr,
        "epochs": fit.epochs,
        "batch size": fit.batch_size,
        "budget": search.budget,
        "seed": parts.config.seed,
    }
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)
