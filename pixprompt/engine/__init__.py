"""The engine: builds the parts of a run, fits, scores the ladder, writes the run directory."""

from .config import TrainConfig, config_from_json
from .evaluate import evaluate, predict
from .plan import plan
from .report import Reporter, Silent
from .result import RUNGS, Result, Score, wilson
from .run import train

__all__ = [
    "RUNGS",
    "Reporter",
    "Result",
    "Score",
    "Silent",
    "TrainConfig",
    "config_from_json",
    "evaluate",
    "plan",
    "predict",
    "train",
    "wilson",
]
