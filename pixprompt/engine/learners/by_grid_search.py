"""The VPT paper's protocol: choose learning rate and weight decay on the validation images, then train on both splits.

The final training has no images to choose an epoch on, so a trial is judged by its last epoch, too. Ties go to the
smaller learning rate, then to the smaller weight decay.
"""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...adapters import WhiteBox
from ...core import ConfigError, ModelError, PixpromptError
from ...data import join
from ...files import make_folder, read_json, write_json
from ...models import DirectQuerier
from ..answers import Answered, score
from ..baseline import Baseline
from ..config.grids import grids, scales
from ..config.train_config import TrainConfig
from ..fit.gradients.adapter_fit import fit_adapter, new_adapter
from ..fit.gradients.augmentation import augmentation
from ..fit.gradients.epochs import Fit
from ..fit.gradients.inputs import TrainInputs, inputs_of
from ..parts import canvases_of
from ..ranks import shared_counts
from ..session import Session
from .by_gradients import ByGradients, white_box_solution
from .learned import Learned

__all__ = ["ByGridSearch", "PairSearch"]


@dataclass(frozen=True)
class Trials:
    """The outcome of every pair of the grids, and the seconds that earlier sessions spent on them."""

    lines: list[dict[str, Any]]
    earlier_seconds: float

    def best(self) -> dict[str, Any]:
        """Returns the trial that validated best.

        Raises:
            ModelError: Every trial diverged.
        """
        finished = [trial for trial in self.lines if trial["val_accuracy"] is not None]
        if not finished:
            raise ModelError("every trial of the search diverged; try smaller learning rates with --lr-grid.")
        return max(finished, key=lambda trial: (trial["val_accuracy"], -trial["lr"], -trial["weight_decay"]))


class ByGridSearch(ByGradients):
    """Trials over two grids, or between them, then a training on train and val with the best pair, once per seed."""

    def learn(self, session: Session[DirectQuerier], baseline: Baseline) -> Learned:
        """See `Learner`; trials and trainings that an earlier session has finished are not repeated.

        Raises:
            ModelError: Every trial diverged.
        """
        train, val = (self._inputs(session, split) for split in ("train", "val"))
        trials, num_val = self._trials(session, train, val), len(val.labels)
        chosen = trials.best()
        session.reporter.note(
            f"chosen on {num_val} validation images: learning rate {chosen['lr']:g}, weight decay "
            f"{chosen['weight_decay']:g} ({chosen['val_accuracy']:.3f})"
        )
        num_train = len(train.labels)
        del train, val  # cached features may be large, and those of both splits are made together below
        state, answers, earlier = self._train_chosen(session, chosen)
        tests = [score(self.adapter.output, None, answered).test or 0.0 for answered in answers]
        search = {
            "trials": trials.lines,
            **{name: chosen[name] for name in ("lr", "weight_decay", "val_accuracy")},
            "seeds": [{"seed": self.parts.config.seed + index, "test": test} for index, test in enumerate(tests)],
            "test_mean": statistics.fmean(tests),
            "test_deviation": statistics.stdev(tests) if len(tests) > 1 else None,
        }
        solution = replace(white_box_solution(self.parts, self._white_box(), None), test=answers[0])
        learned = self.learned(state, solution, num_train, num_val, trials.earlier_seconds + earlier)
        speed = learned.images_per_second * (num_train + num_val) / num_train
        return replace(
            learned,
            notes=[*learned.notes, _note(search)],
            facts={**learned.facts, "search": search},
            images_per_second=speed,
        )

    def _white_box(self) -> WhiteBox:
        if not isinstance(self.adapter, WhiteBox):
            raise ConfigError(f"a grid search is for white-box methods, not for {self.parts.config.method.name!r}.")
        return self.adapter

    def _trials(self, session: Session[DirectQuerier], train: TrainInputs, val: TrainInputs) -> Trials:
        """Tries the pairs of `PairSearch`, and writes each trial's outcome at once."""
        config, counted, began = self.parts.config, self.parts.counted, time.perf_counter()
        path = session.folder.checkpoint("search.json")
        make_folder(path.parent)
        rates, decays = grids(config)
        session.reporter.note(
            f"search: {len(rates)} learning rates {rates[0]:g} to {rates[-1]:g} times {len(decays)} weight decays, "
            + ("" if config.fit.search_trials is None else f"{config.fit.search_trials} pairs between them, ")
            + f"{config.fit.epochs} epochs each, batch size {config.fit.batch_size}"
            + ("; rates are the grid times batch size / 256" if scales(config) else "")
        )
        lines: list[dict[str, Any]] = []
        earlier = 0.0
        if path.exists():
            try:
                stored = read_json(path)
                lines, earlier = list(stored["trials"]), float(stored["seconds"])
                counted.num_images, counted.num_requests = int(stored["images"]), int(stored["requests"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise PixpromptError(f"{path} is damaged ({error}). Delete it to search again.") from error
        search = PairSearch(config, lines)
        while (pair := search.ask()) is not None:
            lines.append(self._trial(session, *pair, train, val))
            search.tell(lines[-1]["val_accuracy"])
            counts = {"images": counted.num_images, "requests": counted.num_requests}
            write_json(path, {"trials": lines, "seconds": earlier + time.perf_counter() - began, **counts})
        return Trials(lines, earlier)

    def _trial(
        self, session: Session[DirectQuerier], rate: float, decay: float, train: TrainInputs, val: TrainInputs
    ) -> dict[str, Any]:
        parts, reporter = self.parts, session.reporter
        config = parts.config.with_values(lr=rate, weight_decay=decay)
        adapter = new_adapter(parts, config.seed)
        trial: dict[str, Any] = {"lr": rate, "weight_decay": decay, "val_accuracy": None, "val_loss": None}
        pair = f"learning rate {rate:g}, weight decay {decay:g}"
        try:
            state = fit_adapter(parts, config, adapter, train.rebind(adapter), val.rebind(adapter), reporter)
        except ModelError as error:  # it diverged, which is an outcome, too
            reporter.note(f"{pair}: {error}")
            return trial
        last = state.history[-1]
        if not math.isfinite(last["val_loss"]):
            reporter.note(f"{pair}: the last step diverged.")
            return trial
        reporter.note(f"{pair}: {last['val_accuracy']:.3f}")
        return trial | {"val_accuracy": last["val_accuracy"], "val_loss": last["val_loss"]}

    def _train_chosen(
        self, session: Session[DirectQuerier], chosen: dict[str, Any]
    ) -> tuple[Fit, list[Answered], float]:
        """Trains on train and val for every seed; `self.adapter` is that of the first.

        Returns:
            The fit of the first seed, the test answers by seed, seconds of earlier sessions.
        """
        parts, config, data, reporter = self.parts, self.parts.config, self.parts.data, session.reporter
        both = canvases_of(
            join([data.train, data.val]), parts.plain, config.data.workers, reporter, "read train and val"
        )
        first, state, tests, earlier = self._white_box(), Fit(), list[Answered](), 0.0
        with shared_counts(parts.counted):
            inputs = inputs_of(
                first, both, parts.device, on_images=parts.counted.count, reporter=session.reporter,
                augment=augmentation(config.fit.augment, parts.plain),
            )  # fmt: skip
        for seed in range(config.seed, config.seed + config.fit.seeds):
            adapter = new_adapter(parts, seed) if tests else first  # it may be as large as the model
            own = config.with_values(seed=seed, lr=chosen["lr"], weight_decay=chosen["weight_decay"])
            path = session.folder.checkpoint(f"seed-{seed}.safetensors")
            folder, began = None if tests else session.folder, time.perf_counter()
            fitted = fit_adapter(
                parts, own, adapter, inputs.rebind(adapter), None, reporter, checkpoint=path, folder=folder
            )
            earlier += max(0.0, fitted.seconds - (time.perf_counter() - began))
            state = state if tests else fitted
            reporter.stage("score test", len(session.canvases("test", parts.plain).labels))
            solution = white_box_solution(parts, adapter, None)
            tests.append(session.query("test", parts.plain, outputs=solution.outputs))
        return state, tests, earlier


def _note(search: dict[str, Any]) -> str:
    spread = "" if search["test_deviation"] is None else f" +- {search['test_deviation']:.3f}"
    seeds = "1 seed" if len(search["seeds"]) == 1 else f"{len(search['seeds'])} seeds; the file holds the first"
    return (
        f"Test accuracy {search['test_mean']:.3f}{spread} over {seeds}, trained on train and val with learning rate "
        f"{search['lr']:g} and weight decay {search['weight_decay']:g}, which validated best "
        f"({search['val_accuracy']:.3f})."
    )


class PairSearch:
    """Every pair of the grids, smallest first, or with `--search-trials` so many that Optuna's TPE chooses.

    TPE takes any rate between the least and the largest of its grid, and decays of theirs. What it proposes depends on
    the seed and on the trials before alone, so that a search that is continued proposes what it would have.

    Args:
        finished: Trials of earlier sessions: `lr`, `weight_decay`, and `val_accuracy`, None for one that diverged.

    Raises:
        ConfigError: Optuna is not installed, or a list of numbers cannot be read.

    Reference: Akiba et al. 2019, arXiv 1907.10902.
    """

    def __init__(self, config: TrainConfig, finished: Sequence[Mapping[str, Any]]) -> None:
        try:
            import optuna
        except ModuleNotFoundError as error:
            raise ConfigError("--search stands on Optuna: pip install 'pixprompt[search]'.") from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna, self._seed = optuna, config.seed
        rates, decays = grids(config)
        spaces = optuna.distributions
        self._space: dict[str, Any] = {"weight_decay": spaces.CategoricalDistribution(decays)}
        whole = config.fit.search_trials is None
        if whole or len(rates) == 1 or rates[0] == 0:
            self._space["lr"] = spaces.CategoricalDistribution(rates)
        else:
            self._space["lr"] = spaces.FloatDistribution(rates[0], rates[-1], log=True)
        self.total = config.fit.search_trials or len(rates) * len(decays)
        self._study: Any = optuna.create_study(direction="maximize")
        self._trial: Any = None
        tried = [(trial["lr"], trial["weight_decay"]) for trial in finished]
        for trial in finished:
            self._study.add_trial(self._frozen(trial))
        for pair in itertools.product(rates, decays) if whole else ():
            if pair not in tried:
                self._study.enqueue_trial(dict(zip(("lr", "weight_decay"), pair, strict=True)))
        self._left = self.total - len(finished)

    def ask(self) -> tuple[float, float] | None:
        """Returns the next learning rate and weight decay; None after the last."""
        if self._left <= 0:
            return None
        self._left -= 1
        number = len(self._study.trials)
        self._study.sampler = self._optuna.samplers.TPESampler(seed=(1000 * self._seed + number) % 2**32)
        self._trial = self._study.ask(self._space)
        return float(self._trial.params["lr"]), float(self._trial.params["weight_decay"])

    def tell(self, accuracy: float | None) -> None:
        """Takes the validation accuracy of the last pair; None where it diverged."""
        state = self._optuna.trial.TrialState
        self._study.tell(self._trial, accuracy, state=state.FAIL if accuracy is None else state.COMPLETE)

    def _frozen(self, trial: Mapping[str, Any]) -> Any:
        states, accuracy = self._optuna.trial.TrialState, trial["val_accuracy"]
        return self._optuna.trial.create_trial(
            params={name: trial[name] for name in self._space},
            distributions=self._space,
            value=accuracy,
            state=states.FAIL if accuracy is None else states.COMPLETE,
        )
