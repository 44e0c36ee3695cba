"""What `--search` tries.

The grids are the VPT paper's: SGD for prompts and heads, AdamW where weights of the backbone's own kind are tuned
(arXiv 2203.12119, appendix A; scaled by batch size / 256 as in its public code).
"""

from __future__ import annotations

from ...core import ConfigError
from ...settings import flag
from .train_config import TrainConfig

__all__ = ["grids", "scales"]

_PROMPT_RATES = (50.0, 25.0, 10.0, 5.0, 2.5, 1.0, 0.5, 0.25, 0.1, 0.05)
_WEIGHT_RATES = (0.005, 0.001, 0.0005, 0.0001)
_DECAYS = (0.01, 0.001, 0.0001, 0.0)
_REFERENCE_BATCH = 256


def scales(config: TrainConfig) -> bool:
    """Whether `--search` scales its learning rates to the batch size."""
    return config.fit.lr_grid is None and (config.method.grid.rates is None or config.fit.optimizer == "sgd")


def grids(config: TrainConfig) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns the learning rates and the weight decays that `--search` tries.

    Raises:
        ConfigError: A list of numbers cannot be read.
    """
    fit = config.fit
    if fit.lr_grid is not None:
        rates = _parse("lr_grid", fit.lr_grid)
    elif scales(config):
        scale = (fit.batch_size or 0) / _REFERENCE_BATCH
        rates = tuple(rate * scale for rate in (_PROMPT_RATES if fit.optimizer == "sgd" else _WEIGHT_RATES))
    else:
        rates = config.method.grid.rates or ()
    decays = _DECAYS if fit.weight_decay_grid is None else _parse("weight_decay_grid", fit.weight_decay_grid)
    return tuple(sorted(rates)), tuple(sorted(decays))


def _parse(name: str, text: str) -> tuple[float, ...]:
    try:
        values = tuple(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError as error:
        raise ConfigError(f"{flag(name)} is numbers joined by commas, got {text!r}.") from error
    if any(not 0 <= value < float("inf") for value in values):
        raise ConfigError(f"{flag(name)}: numbers must be at least 0, got {text!r}.")
    return values
