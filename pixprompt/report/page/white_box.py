"""Views of what methods inside the model learned on several seeds."""

from __future__ import annotations

from ...engine.result import Result
from ..evidence import Evidence
from ..run_files import RunFiles
from .views import View

__all__ = ["search", "test_accuracies"]


def search(run: RunFiles, evidence: Evidence) -> View:
    """Shows the trials of a grid search and its final trainings."""
    del evidence
    result: Result = run.result  # type: ignore[assignment]
    grid = result.search or {}
    accuracy = {(trial["lr"], trial["weight_decay"]): trial["val_accuracy"] for trial in grid["trials"]}
    rates, decays = (sorted({trial[index] for trial in accuracy}) for index in (0, 1))
    return {"grid": grid, "accuracy": accuracy, "rates": rates, "decays": decays}


def test_accuracies(run: RunFiles, rung: str) -> list[float]:
    """Returns the test accuracies of a rung: one for each seed of a search, otherwise one or none."""
    if run.result is None:
        return []
    if run.result.search is not None and rung == "prompt_float":
        return [seed["test"] for seed in run.result.search["seeds"]]
    score = run.result.accuracy.get(rung)
    return [] if score is None or score.test is None else [score.test]
