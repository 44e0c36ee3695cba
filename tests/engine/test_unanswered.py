"""Images that a remote model left without an answer: in no fit, in no number, and no candidate gains by them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from pixprompt.core import Access, BudgetError, ModelError, ModelSpec
from pixprompt.data import Data
from pixprompt.data.image_set import from_arrays
from pixprompt.engine import TrainConfig
from pixprompt.engine.answers import Answered, mean_of, score
from pixprompt.engine.fit.answers.cross_fit import CrossFit, choose
from pixprompt.engine.fit.answers.zeroth_order import Candidate, OnlineReadout
from pixprompt.engine.parts import build
from pixprompt.engine.progress import Silent
from pixprompt.engine.run_folder import RunFolder
from pixprompt.engine.session import Session
from pixprompt.models import DirectQuerier
from pixprompt.outputs import Direct

NAN = float("nan")
RIGHT = torch.tensor([[3.0, 0.0], [0.0, 3.0], [3.0, 0.0], [0.0, 3.0]])
LABELS = torch.tensor([0, 1, 0, 1])
READ = Direct(("a", "b"))


def without(outputs: torch.Tensor, *missing: int) -> Answered:
    outputs = outputs.clone()
    outputs[list(missing)] = NAN
    return Answered(outputs, LABELS[: len(outputs)])


class Notes(Silent):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


class Forgetful:
    """A model that does not answer some images, by their first pixel."""

    access = Access.SCORES
    spec = ModelSpec("forgetful", (4, 4), 2, resample="nearest")

    def __init__(self, *missing: int) -> None:
        self.missing = missing

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        first = (images[:, 0, 0, 0] * 255).round()
        rows = torch.stack([first, first], 1)
        rows[[int(value) in self.missing for value in first]] = NAN
        return rows


class Limited(DirectQuerier):
    """Pays for so many images."""

    def __init__(self, budget: int, chunk: int) -> None:
        super().__init__(Forgetful())
        self.budget, self.chunk = budget, chunk

    def query(self, images: torch.Tensor, replicate: int = 0) -> torch.Tensor:
        if self.num_images + len(images) > self.budget:
            raise BudgetError("no more")
        return super().query(images, replicate)


def session(querier: DirectQuerier, count: int, folder: Path, notes: Notes) -> Session[DirectQuerier]:
    pixels = np.zeros((count, 4, 4, 3), np.uint8)
    pixels[:, 0, 0, 0] = np.arange(count)
    images = from_arrays(pixels, np.arange(count) % 2, prefix="image ")
    data = Data("toy", ("a", "b"), train=images, val=images, test=images)
    parts = build(TrainConfig(size=1, budget=1), model=querier.model, data=data)
    return Session(parts, RunFolder(folder), notes, querier)


def test_scores_are_shares_of_what_was_answered() -> None:
    wrong = RIGHT.flip(1)
    half = torch.cat([RIGHT[:2], wrong[2:]])
    assert score(READ, without(half), without(half)).test == 0.5
    result = score(READ, without(half, 2), without(half, 2, 3))
    assert (result.val, result.test) == (pytest.approx(2 / 3), 1.0)
    assert result.ci95 == score(READ, None, without(RIGHT[:2])).ci95
    assert score(READ, without(half, 0, 1, 2, 3), None).val is None


def test_replicates_that_are_missing_are_not_averaged_in() -> None:
    first, second = without(RIGHT, 1).outputs, without(RIGHT + 1, 1, 2).outputs
    mean = mean_of([first, second])
    assert mean[0].tolist() == [3.5, 0.5]
    assert mean[2].tolist() == RIGHT[2].tolist()
    assert mean[1].isnan().all()
    assert torch.equal(mean_of([RIGHT, RIGHT + 1]), torch.stack([RIGHT, RIGHT + 1]).mean(0))


def test_heads_are_fitted_and_judged_without_them() -> None:
    folds = torch.tensor([0, 1, 0, 1])
    (choice,) = choose(lambda kind: READ, ("direct",), without(RIGHT.flip(1), 0, 3), folds).values()
    assert choice.accuracy == 0.0
    (choice,) = choose(lambda kind: READ, ("direct",), without(torch.cat([RIGHT[:3], RIGHT[:1]]), 3), folds).values()
    assert choice.accuracy == 1.0  # the fourth would have been wrong
    with pytest.raises(ModelError, match="without an answer"):
        choose(lambda kind: READ, ("direct",), without(RIGHT, 0, 1, 2, 3), folds)


def test_candidates_are_compared_on_images_that_both_answered() -> None:
    none = Candidate("none", None, READ, without(torch.cat([RIGHT[:2], RIGHT.flip(1)[2:]])))
    lucky = Candidate("lucky", torch.zeros(1), READ, without(torch.cat([RIGHT[:2], RIGHT.flip(1)[2:]]), 2, 3))
    assert lucky.rank[0] == 1.0
    assert not lucky.beats(none)  # of what both answered, both read the same
    better = Candidate("better", torch.zeros(1), READ, without(RIGHT, 0))
    assert (len(better.correct), len(better.losses)) == (3, 3)
    assert better.beats(none)


@dataclass(frozen=True)
class Recorded(Direct):
    """Keeps the answers that it was fitted on last."""

    answers: list[torch.Tensor] = field(default_factory=list)
    fits = True

    def refit(self, outputs: torch.Tensor, labels: torch.Tensor) -> Recorded:
        self.answers[:] = [outputs]
        return self


def test_a_readout_is_fitted_on_answers_only() -> None:
    folds, recorded = torch.zeros(4, dtype=torch.int64), Recorded(("a", "b"))
    readout = OnlineReadout(CrossFit(recorded), without(RIGHT, 3), torch.arange(4), folds, refits=True)
    readout.refit()
    assert recorded.answers[0].tolist() == RIGHT[:3].tolist()
    readout.update([without(RIGHT, 0, 1).outputs, without(RIGHT + 1, 0).outputs], LABELS, torch.arange(4))
    readout.refit()
    expected = [RIGHT[0], RIGHT[1] + 1, RIGHT[2] + 0.5, RIGHT[3] + 0.5]  # the first is the answer from before
    assert recorded.answers[0].tolist() == torch.stack(expected).tolist()


def test_what_is_missing_is_named_once_and_the_order_kept(tmp_path: Path) -> None:
    notes = Notes()
    run = session(DirectQuerier(Forgetful(2, 5)), 8, tmp_path, notes)
    for _ in range(2):
        answered = run.query("train", run.parts.plain, torch.tensor([5, 1, 2, 7]))
        assert answered.mask.tolist() == [False, True, False, True]
        assert answered.labels.tolist() == [1, 1, 0, 1]
    (text,) = notes.texts
    first, second = (run.canvases("train", run.parts.plain).names[index] for index in (5, 2))
    assert text == f"left without an answer: {first}, {second}"
    everyone = run.query("train", run.parts.plain)
    assert everyone.complete.outputs[:, 0].tolist() == [0, 1, 3, 4, 6, 7]


@pytest.mark.parametrize("chunk", [32, 128, 1024])
def test_a_large_chunk_that_is_paid_for_in_part_is_queried_in_part(chunk: int, tmp_path: Path) -> None:
    querier = Limited(budget=100, chunk=chunk)
    run = session(querier, 128, tmp_path, Notes())
    answered = run.query("train", run.parts.plain, torch.arange(128), partly=True)
    assert len(answered.labels) == querier.num_images == 96
    with pytest.raises(BudgetError):
        run.query("train", run.parts.plain, torch.arange(128))
