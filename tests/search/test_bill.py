"""What a committee may cost, and a cascade that asks it only where it is needed."""

import pytest
import torch

from pixprompt.search import Price, cascade_curve, choose_cascade


def test_a_doubling_of_the_bill_must_bring_a_point() -> None:
    assert Price(learning=1000, predictions=0).worth(0.502, 3) == 0.502
    # With 1000 queries to learn, 1000 predictions by three views double the bill of one view.
    used = Price(learning=1000, predictions=1000)
    assert used.bill(3) == 2 * used.bill(1)
    assert used.worth(0.509, 3) < used.worth(0.5, 1) < used.worth(0.511, 3)


def test_more_predictions_never_make_a_committee_larger() -> None:
    accuracies = [0.5, 0.6, 0.65, 0.67, 0.675]
    prices = [Price(1000, count) for count in (0, 100, 1000, 10_000, 10_000_000)]
    sizes = [max(range(1, 6), key=lambda size: each.worth(accuracies[size - 1], size)) for each in prices]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 5


def test_a_cascade_asks_further_where_the_first_answer_is_unsure() -> None:
    labels = torch.tensor([0, 1, 0, 1])
    first = torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.4, 0.6], [0.55, 0.45]])  # unsure and wrong about the last two
    full = torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.1, 0.9]])
    curve = cascade_curve(first, full, labels, (1.0, 4.0), [0.0, 0.5, 1.0])
    assert [each.accuracy for each in curve] == [0.5, 1.0, 1.0]
    assert [each.per_prediction for each in curve] == [1.0, 3.0, 5.0]
    assert choose_cascade(curve, Price(100, 100)).per_prediction == 3.0
    shares = first.softmax(1)
    further = (shares[:, 0] - shares[:, 1]).abs() < curve[1].threshold
    assert further.tolist() == [False, False, True, True]
    assert curve[2].threshold == pytest.approx(float("inf"))
