"""Images that a remote model left without an answer: in no fit, in no number, and no candidate gains by them."""

import numpy as np
import pytest
import torch

from pixprompt.core import BudgetError, ModelError
from pixprompt.data import CanvasSet
from pixprompt.engine.answers import Answered, ask_all, mean_of, score
from pixprompt.engine.asking import Asker, ask_some
from pixprompt.engine.fit.cross_fit import CrossFit, choose
from pixprompt.engine.fit.zeroth_order import Candidate, Judge
from pixprompt.outputs import Direct

NAN = float("nan")
RIGHT = torch.tensor([[3.0, 0.0], [0.0, 3.0], [3.0, 0.0], [0.0, 3.0]])
LABELS = torch.tensor([0, 1, 0, 1])
READ = Direct(("a", "b"))


def without(outputs: torch.Tensor, *missing: int) -> Answered:
    outputs = outputs.clone()
    outputs[list(missing)] = NAN
    return Answered(outputs, LABELS[: len(outputs)])


class Told:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def advance(self, steps: int = 1) -> None:
        pass


class Teller:
    """A model that does not answer some images, by their first pixel, and has a budget."""

    def __init__(self, *missing: int, chunk: int = 4, budget: int = 10**6) -> None:
        self.missing, self.chunk, self.budget = missing, chunk, budget
        self.asked = 0

    def query(self, images: torch.Tensor, replicate: int = 0) -> torch.Tensor:
        if self.asked + len(images) > self.budget:
            raise BudgetError("no more")
        self.asked += len(images)
        first = (images[:, 0, 0, 0] * 255).round()
        rows = torch.stack([first, first + replicate], 1)
        rows[[int(value) in self.missing for value in first]] = NAN
        return rows


def canvases(count: int) -> CanvasSet:
    pixels = np.zeros((count, 2, 2, 3), np.uint8)
    pixels[:, 0, 0, 0] = np.arange(count)
    return CanvasSet(pixels, np.arange(count) % 2, tuple(f"image {index}" for index in range(count)), ())


def test_scores_are_shares_of_what_was_answered() -> None:
    wrong = RIGHT.flip(1)
    half = torch.cat([RIGHT[:2], wrong[2:]])
    assert score(READ, without(half), without(half)).test == 0.5
    found = score(READ, without(half, 2), without(half, 2, 3))
    assert (found.val, found.test) == (pytest.approx(2 / 3), 1.0)
    assert found.ci95 == score(READ, None, without(RIGHT[:2])).ci95
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


def test_a_judge_remembers_answers_only() -> None:
    folds = torch.tensor([0, 1, 0, 1])
    judge = Judge(CrossFit(READ), without(RIGHT, 3), torch.arange(4), folds, refits=True)
    assert sorted(judge._known) == [0, 1, 2]
    judge.see([without(RIGHT, 0, 1).outputs, without(RIGHT + 1, 0).outputs], LABELS, torch.arange(4))
    assert sorted(judge._known) == [0, 1, 2, 3]
    assert judge._known[0][0].tolist() == RIGHT[0].tolist()  # from before
    assert not torch.stack([outputs for outputs, _ in judge._known.values()]).isnan().any()


def test_what_is_missing_is_named_once_and_the_order_kept() -> None:
    told = Told()
    asker = Asker(Teller(2, 5), "cpu", told)  # type: ignore[arg-type]
    for _ in range(2):
        answered = ask_some(asker, lambda: canvases(8), torch.tensor([5, 1, 2, 7]))
        assert answered.heard.tolist() == [False, True, False, True]
        assert answered.labels.tolist() == [1, 1, 0, 1]
    assert told.notes == ["left without an answer: image 5, image 2"]
    everyone = ask_all(Teller(2, 5).query, canvases(8))
    assert everyone.known.outputs[:, 0].tolist() == [0, 1, 3, 4, 6, 7]


@pytest.mark.parametrize(("chunk", "paid"), [(32, 96), (128, 96), (1024, 96)])
def test_a_large_chunk_that_is_paid_for_in_part_is_asked_in_part(chunk: int, paid: int) -> None:
    model = Teller(chunk=chunk, budget=100)
    asker = Asker(model, "cpu", Told())  # type: ignore[arg-type]
    answered = ask_some(asker, lambda: canvases(128), torch.arange(128), partly=True)
    assert len(answered.labels) == model.asked == paid
    with pytest.raises(BudgetError):
        ask_some(asker, lambda: canvases(128), torch.arange(128))
