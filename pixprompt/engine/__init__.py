"""The engine: builds the parts of a run, fits, scores the ladder, writes the run directory."""

from .config import TrainConfig
from .deployed import Deployed, deploy
from .evaluating import evaluate
from .opening import Calls
from .plan import plan
from .predicting import predict
from .report import Reporter, Silent
from .result import RUNGS, Result, Score, wilson
from .run import train

__all__ = [
    "RUNGS",
    "Calls",
    "Deployed",
    "Reporter",
    "Result",
    "Score",
    "Silent",
    "TrainConfig",
    "deploy",
    "evaluate",
    "plan",
    "predict",
    "train",
    "wilson",
]
