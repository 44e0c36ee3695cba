"""McNemar's test and its power, against the binomial distribution and against simulation."""

import pytest
import torch
from scipy.stats import binomtest

from pixprompt.core import ShapeError
from pixprompt.search import Comparison, compare, detectable_gain, power


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (5, 0), (12, 7), (3, 9), (40, 22)])
def test_p_value_is_the_exact_binomial_one(wins: int, losses: int) -> None:
    expected = binomtest(wins, wins + losses, alternative="greater").pvalue if wins + losses else 1.0
    assert Comparison(wins, losses, 100).p_value == pytest.approx(expected)


def test_comparison_counts_images_that_just_one_reads_right() -> None:
    ours = torch.tensor([True, True, False, True, False])
    theirs = torch.tensor([True, False, True, False, False])
    comparison = compare(ours, theirs)
    assert (comparison.wins, comparison.losses, comparison.num_images) == (2, 1, 5)
    assert comparison.gain == pytest.approx(0.2)
    assert comparison.interval[0] < 0.2 < comparison.interval[1]
    with pytest.raises(ShapeError):
        compare(ours, theirs[:3])


def test_power_is_what_simulation_finds() -> None:
    generator = torch.Generator().manual_seed(0)
    images, gain, disagreement, result = 300, 0.05, 0.15, 0
    for _ in range(400):
        draws = torch.rand(images, generator=generator)
        wins = int((draws < (disagreement + gain) / 2).sum())
        losses = int((draws >= 1 - (disagreement - gain) / 2).sum())
        result += Comparison(wins, losses, images).significant
    assert power(images, gain, disagreement) == pytest.approx(result / 400, abs=0.08)


def test_a_detectable_gain_is_found_8_times_in_10() -> None:
    gain = detectable_gain(400, 0.2)
    assert power(400, gain, 0.2) >= 0.8 > power(400, gain - 0.002, 0.2)
    assert detectable_gain(5, 0.05) == 1.0
