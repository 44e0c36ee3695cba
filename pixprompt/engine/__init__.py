"""The engine: builds the parts of a run, fits, scores the ladder, writes the run directory."""

from .budget.plan import plan
from .config.train_config import TrainConfig
from .opening import Calls
from .report import Reporter, Silent
from .result import RUNGS, Result, Score, wilson
from .run import train
from .saved.deploy import Deployed, deploy
from .saved.evaluate import evaluate
from .saved.predict import predict

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
