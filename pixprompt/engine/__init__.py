"""The engine: builds the parts of a run, fits, scores the ladder, writes the run directory."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .config.train_config import TrainConfig
    from .opening import Calls
    from .report import Reporter, Silent
    from .result import RUNGS, Result, Score, wilson
    from .run import plan, train
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

__getattr__ = lazy_names(
    __name__,
    {
        "config.train_config": "TrainConfig",
        "opening": "Calls",
        "report": "Reporter Silent",
        "result": "RUNGS Result Score wilson",
        "run": "plan train",
        "saved.deploy": "Deployed deploy",
        "saved.evaluate": "evaluate",
        "saved.predict": "predict",
    },
)
