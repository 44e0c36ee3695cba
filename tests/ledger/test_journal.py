"""LocalJournal models: answers are kept bit by bit, asked once, and paid for before; test_kills.py kills such runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import Phase, given, settings, strategies as st
from torch import Tensor

from pixprompt.core import Access, BudgetError, Model, ModelError, ModelSpec, RangeError, ShapeError
from pixprompt.ledger import LocalJournal
from pixprompt.ledger.budget import Budget
from pixprompt.ledger.ledger import Ledger

SIZE = (2, 3)


def images(*numbers: int) -> Tensor:
    """Images that differ, of 8-bit values; the same for the same number."""
    pixels = [(torch.arange(18).view(3, *SIZE) * 7 + 13 * number) % 256 for number in numbers]
    return torch.stack(pixels).float() / 255


class Toy:
    """Answers with the channel means times pi; remembers the sizes of its calls and fails where it is told to."""

    access = Access.INTERNALS

    def __init__(self, name: str = "toy") -> None:
        self.spec = ModelSpec(name, SIZE, 3)
        self.calls: list[int] = []
        self.failing = False

    def __call__(self, inputs: Tensor) -> Tensor:
        self.calls.append(len(inputs))
        if self.failing:
            raise ConnectionError("lost")
        return inputs.mean((2, 3)) * torch.pi

    @property
    def num_queries(self) -> int:
        return sum(self.calls)


def test_it_is_a_model_that_gives_scores_only() -> None:
    journaled = LocalJournal(Toy(), None, Budget(None))
    assert isinstance(journaled, Model)
    assert journaled.spec == Toy().spec
    assert journaled.access is Access.SCORES
    outputs = journaled(images(1).requires_grad_())
    assert not outputs.requires_grad


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("max_batch", [None, 2])
def test_answers_are_those_of_the_model_and_asked_once(tmp_path: Path, in_memory: bool, max_batch: int | None) -> None:
    model, budget = Toy(), Budget(100)
    with Ledger(None if in_memory else tmp_path / "l") as ledger:
        journaled = LocalJournal(model, ledger, budget, max_batch=max_batch)
        first = images(3, 1, 3, 2)
        assert torch.equal(journaled(first), Toy()(first))
        assert model.calls == ([3] if max_batch is None else [2, 1])
        second = images(5, 2, 4, 3, 5)
        assert torch.equal(journaled(second), Toy()(second))
        assert model.num_queries == budget.spent == journaled.queries == 5
        assert (journaled.totals().requests, journaled.totals().cached) == (len(model.calls), 1 + 3)


def test_an_earlier_session_is_replayed_and_its_queries_are_spent(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l") as ledger:
        before = LocalJournal(Toy(), ledger, Budget(9))(images(1, 2, 3))
    model, budget = Toy(), Budget(9)
    with Ledger(tmp_path / "l") as ledger:
        journaled = LocalJournal(model, ledger, budget)
        assert (budget.spent, journaled.queries, journaled.distinct) == (3, 3, 0)
        assert torch.equal(journaled(images(3, 1, 3)), before[[2, 0, 2]])
        assert (model.calls, budget.spent, journaled.distinct) == ([], 3, 2)


def test_failed_requests_and_requests_in_doubt_are_spent(tmp_path: Path) -> None:
    model, budget = Toy(), Budget(9)
    model.failing = True
    with Ledger(tmp_path / "l") as ledger:
        journaled = LocalJournal(model, ledger, budget)
        with pytest.raises(ConnectionError):
            journaled(images(1, 2))
        ledger.intend([b"never answered"] * 1)
        assert (budget.spent, ledger.totals().failed, ledger.totals().in_doubt) == (2, 1, 1)
    with Ledger(tmp_path / "l") as ledger:
        budget = Budget(9)
        journaled = LocalJournal(Toy(), ledger, budget)
        assert budget.spent == 3
        assert torch.equal(journaled(images(1, 2)), Toy()(images(1, 2)))
        assert budget.spent == 5


def test_an_answer_that_is_nonsense_is_paid_and_not_kept() -> None:
    model, budget = Toy(), Budget(9)
    model.spec = replace(model.spec, num_outputs=4)
    journaled = LocalJournal(model, None, budget)
    with pytest.raises(ModelError, match=r"returned a tensor \(1, 3\), expected \(1, 4\)"):
        journaled(images(1))
    assert (budget.spent, journaled.ledger.totals().failed) == (1, 1)


def test_what_does_not_fit_the_budget_is_not_asked_at_all() -> None:
    model, budget = Toy(), Budget(4)
    journaled = LocalJournal(model, None, budget, max_batch=1)
    journaled(images(1, 2))
    with pytest.raises(BudgetError, match="3 more queries were wanted, but 2 of 4 are left"):
        journaled(images(1, 3, 4, 5))
    assert (model.num_queries, budget.spent, journaled.totals().cached) == (2, 2, 0)
    journaled(images(1, 3, 4, 4))
    assert (model.num_queries, budget.remaining) == (4, 0)
    journaled(images(4, 3, 2, 1))  # costs nothing


def test_replicates_ask_again_and_are_kept_apart() -> None:
    model = Toy()
    journaled = LocalJournal(model, None, Budget(None))
    for replicate in (0, 1, 0, 1):
        assert torch.equal(journaled.query(images(1, 2), replicate), Toy()(images(1, 2)))
    assert (model.calls, journaled.distinct) == ([2, 2], 4)


def test_the_key_holds_pixels_shape_and_model() -> None:
    with Ledger(None) as ledger:
        model = Toy()
        LocalJournal(model, ledger, Budget(None), identity="a")(images(1))
        for other, identity in ((Toy(), "b"), (Toy("another"), "a")):
            LocalJournal(other, ledger, Budget(None), identity=identity)(images(1))
            assert other.calls == [1]
        wide = Toy()
        wide.spec = replace(wide.spec, image_size=(3, 2))  # the same bytes, in another shape
        LocalJournal(wide, ledger, Budget(None), identity="a")(images(1).reshape(1, 3, 3, 2))
        assert wide.calls == [1]
        again = Toy()
        noisy = images(1) + 1e-7  # float32 noise of a blend, the same 8-bit image
        noisy = noisy.clamp(0, 1).contiguous(memory_format=torch.channels_last)
        assert torch.equal(LocalJournal(again, ledger, Budget(None), identity="a")(noisy), Toy()(images(1)))
        assert again.calls == []


def test_images_between_8_bit_values_are_refused_before_anything_is_paid() -> None:
    model, budget = Toy(), Budget(9)
    journaled = LocalJournal(model, None, budget)
    for wrong, error in (
        (images(1) * 0.999, RangeError),
        (images(1) * 255, RangeError),
        (images(1)[:, :, :1], ShapeError),
    ):
        with pytest.raises(error):
            journaled(wrong)
    assert (model.calls, budget.spent) == ([], 0)
    with pytest.raises(RangeError, match="max_batch"):
        LocalJournal(model, None, budget, max_batch=0)


def test_queries_of_the_models_making_count_in_every_session(tmp_path: Path) -> None:
    class Probing(Toy):
        probe_queries = 2

    for session in range(2):
        with Ledger(tmp_path / "l") as ledger:
            budget = Budget(9)
            journaled = LocalJournal(Probing(), ledger, budget)
            num_queries = 2 if session == 0 else 2 + 1 + 2
            assert (budget.spent, journaled.queries, journaled.totals().requests) == (
                num_queries,
                num_queries,
                num_queries,
            )
            journaled(images(session))


def test_answers_of_another_width_are_refused() -> None:
    with Ledger(None) as ledger:
        model = Toy()
        LocalJournal(model, ledger, Budget(None))(images(1))
        model.spec = replace(model.spec, num_outputs=2)
        with pytest.raises(ModelError, match="an answer of 3 outputs, but 'toy' has 2"):
            LocalJournal(model, ledger, Budget(None))(images(1))


# The budget holds ----------------------------------------------------------------------------------------------------

Step = tuple[list[int], int, bool, bool]
"""Images, replicate, whether the model fails, whether the run starts anew before it."""
STEPS = st.lists(
    st.tuples(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.integers(0, 1), st.booleans(), st.booleans()),
    max_size=8,
)
Make = Callable[[Model, Ledger, int, int | None], LocalJournal]


def honest(model: Model, ledger: Ledger, total: int, max_batch: int | None) -> LocalJournal:
    return LocalJournal(model, ledger, Budget(total), max_batch=max_batch)


class Trusting(Budget):
    def require(self, num_queries: int) -> None:
        """Lets everything pass."""

    def reserve(self, num_queries: int) -> None:
        Budget(self.total, self.spent).reserve(num_queries)
        self.charge(num_queries)


class Late(LocalJournal):
    """Reserves after its queries."""

    def query(self, images: Tensor, replicate: int = 0) -> Tensor:
        before = self.queries
        budget, self.budget = self.budget, Budget(None)
        try:
            outputs = super().query(images, replicate)
        finally:
            self.budget = budget
        budget.reserve(self.queries - before)
        return outputs


def late(model: Model, ledger: Ledger, total: int, max_batch: int | None) -> LocalJournal:
    return Late(model, ledger, Trusting(total), max_batch=max_batch)


def forgetful(model: Model, ledger: Ledger, total: int, max_batch: int | None) -> LocalJournal:
    """Forgets what earlier sessions spent."""
    journaled = LocalJournal(model, ledger, Budget(None), max_batch=max_batch)
    journaled.budget = Budget(total)
    return journaled


def check_budget(make: Make, steps: list[Step], total: int, max_batch: int | None) -> None:
    model = Toy()
    with Ledger(None) as ledger:
        journaled = make(model, ledger, total, max_batch)
        for numbers, replicate, model.failing, anew in steps:
            if anew:
                journaled = make(model, ledger, total, max_batch)
            num_queries = model.num_queries
            try:
                outputs = journaled.query(images(*numbers), replicate)
            except BudgetError:
                assert model.num_queries == num_queries
            except ConnectionError:
                assert model.num_queries > num_queries
            else:
                assert torch.equal(outputs, Toy()(images(*numbers)))
            assert model.num_queries == journaled.budget.spent == journaled.queries <= total


@given(STEPS, st.integers(0, 12), st.sampled_from([None, 1, 2]))
@settings(max_examples=100, deadline=None)
def test_the_budget_is_never_exceeded(steps: list[Step], total: int, max_batch: int | None) -> None:
    check_budget(honest, steps, total, max_batch)


@pytest.mark.parametrize("make", [late, forgetful])
def test_the_property_sees_a_budget_that_does_not_hold(make: Make) -> None:
    @given(STEPS, st.integers(0, 12))
    @settings(max_examples=300, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
    def check(steps: list[Step], total: int) -> None:
        check_budget(make, steps, total, None)

    with pytest.raises((AssertionError, ExceptionGroup)):
        check()
