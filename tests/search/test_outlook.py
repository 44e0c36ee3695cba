"""What further images would bring, and losses compared on the same images."""

import math

import pytest
import torch

from pixprompt.search import Price, kernel_of
from pixprompt.search.evidence import loss_score, p_value_of
from pixprompt.search.outlook import Forecast, slope

from .toy import answers_of, balanced


def test_the_score_is_that_of_a_paired_t_test() -> None:
    ours, theirs = torch.tensor([0.1, 0.4, 0.2, 0.3]), torch.tensor([0.3, 0.5, 0.5, 0.3])
    differences = (theirs - ours).double()
    assert loss_score(ours, theirs) == pytest.approx(float(differences.mean() / (differences.std() / math.sqrt(4))))
    assert loss_score(theirs, ours) == -loss_score(ours, theirs)
    assert p_value_of(1.6449) == pytest.approx(0.05, abs=1e-4)
    assert loss_score(ours[:1], theirs[:1]) == 0


def test_answers_that_say_nothing_have_the_flattest_curve() -> None:
    labels = balanced(120, 4)
    useful, useless = (kernel_of(each) for each in answers_of(labels, [1.0, 0.0], seed=0))
    assert slope([useful], labels, 4) > slope([useless], labels, 4) >= 0.02


def test_a_forecast_weighs_views_against_images() -> None:
    plain = torch.linspace(0.2, 0.8, 100, dtype=torch.float64)
    forecast = Forecast(plain, error=0.4, slope=0.1, price=Price(1000, 0))
    assert forecast.worth(plain, 1, 100) == pytest.approx(0.6)
    assert forecast.worth(plain, 1, 1000) > forecast.worth(plain, 1, 300)
    assert forecast.worth(0.95 * plain, 3, 100) > 0.6
    # A committee that is hardly better on as many images loses to three times as many images under one view.
    assert forecast.worth(0.99 * plain, 3, 333) < forecast.worth(plain, 1, 1000) < forecast.worth(0.8 * plain, 3, 333)
    assert (
        forecast.score(0.9 * plain, 3, 400)
        > forecast.score(0.9 * plain, 3, 100)
        > 0
        > forecast.score(1.2 * plain, 1, 100)
    )
