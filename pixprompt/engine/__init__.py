"""The engine: builds the parts of a run, fits, scores the ladder, writes the run directory."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .answers import to_images
    from .by_hand import evaluate
    from .config.train_config import TrainConfig
    from .opening import Calls
    from .report import Progress, Reporter, Silent
    from .result import RUNGS, Result, Score, wilson
    from .run import plan, train
    from .saved.deploy import Deployed, deploy
    from .saved.predict import predict

__all__ = [
    "RUNGS",
    "Calls",
    "Deployed",
    "Progress",
    "Reporter",
    "Result",
    "Score",
    "Silent",
    "TrainConfig",
    "deploy",
    "evaluate",
    "plan",
    "predict",
    "to_images",
    "train",
    "wilson",
]

__getattr__ = lazy_names(
    __name__,
    {
        "answers": "to_images",
        "by_hand": "evaluate",
        "config.train_config": "TrainConfig",
        "opening": "Calls",
        "report": "Progress Reporter Silent",
        "result": "RUNGS Result Score wilson",
        "run": "plan train",
        "saved.deploy": "Deployed deploy",
        "saved.predict": "predict",
    },
)
