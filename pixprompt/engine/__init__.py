"""The engine: builds the parts of a run, fits, scores the ladder, writes the run directory."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .answers import to_images as to_images
    from .by_hand import evaluate as evaluate
    from .config.grids import grids as grids
    from .config.presets import learns_from_answers as learns_from_answers, resolve as resolve
    from .config.train_config import TrainConfig as TrainConfig
    from .inputs.opening import Calls as Calls
    from .learners.learned_page import surrogate_prompt as surrogate_prompt
    from .progress import Progress as Progress, Reporter as Reporter, Silent as Silent
    from .result import RUNGS as RUNGS, Result as Result, Score as Score, wilson as wilson
    from .run import plan as plan, train as train
    from .saved.deploy import Deployed as Deployed, deploy as deploy
    from .saved.predict import predict as predict

__all__, __getattr__, __dir__ = lazy_names(__name__)
