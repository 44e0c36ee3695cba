"""The engine: builds the parts of a run, fits, scores the ladder, writes the run directory."""

from .config import TrainConfig, config_from_json
from .deployed import Deployed, deploy, evaluate, predict
from .plan import plan
from .report import Reporter, Silent
from .result import RUNGS, Result, Score, wilson
from .run import train

__all__ = [
    "RUNGS",
    "Deployed",
    "Reporter",
    "Result",
    "Score",
    "Silent",
    "TrainConfig",
    "config_from_json",
    "deploy",
    "evaluate",
    "plan",
    "predict",
    "train",
    "wilson",
]
