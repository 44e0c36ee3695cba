"""What `--search` tries: Optuna proposes learning rates and weight decays, and is told what they reached."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ....core import ConfigError
from ...config.grids import grids
from ...config.train_config import TrainConfig

__all__ = ["PairSearch"]


class PairSearch:
    """Every pair of the grids, smallest first, or with `--search-trials` so many that Optuna's TPE chooses.

    TPE takes any rate between the least and the largest of its grid, and decays of theirs. What it proposes depends on
    the seed and on the trials before alone, so that a search that is continued proposes what it would have.

    Args:
        config: The settings of the run.
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
        self._study.sampler = self._optuna.samplers.TPESampler(seed=1000 * self._seed + number)
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
