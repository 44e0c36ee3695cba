"""Intervals: published values, symmetry, and how often they cover the truth."""

from __future__ import annotations

import numpy as np
import pytest

from pixprompt.intervals import combined_interval, paired_difference, wilson


def test_wilson_against_newcombes_table() -> None:
    """Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)


def test_the_paired_interval_turns_round_with_its_question() -> None:
    for gained, lost, both, total in ((12, 2, 36, 50), (0, 0, 5, 10), (3, 3, 0, 6), (7, 0, 0, 7)):
        low, high = paired_difference(gained, lost, both, total)
        assert -1 <= low <= (gained - lost) / total <= high <= 1
        back = paired_difference(lost, gained, both, total)
        assert (-back[1], -back[0]) == pytest.approx((low, high))
    assert paired_difference(0, 0, 0, 0) == (-1.0, 1.0)


def test_pairing_tells_what_two_overlapping_intervals_do_not() -> None:
    """60 of 100 right before; afterwards the same 60 and ten more."""
    assert wilson(60, 100)[1] > wilson(70, 100)[0]
    assert paired_difference(10, 0, 60, 100)[0] > 0
    assert paired_difference(40, 30, 30, 100)[0] < 0  # negative control: as many right, but not the same ones


@pytest.mark.parametrize("shares", [(0.1, 0.05, 0.6), (0.3, 0.1, 0.3), (0.05, 0.05, 0.8), (0.02, 0.0, 0.5)])
def test_the_paired_interval_covers_the_truth(shares: tuple[float, float, float]) -> None:
    drawn = np.random.default_rng(0).multinomial(80, [*shares, 1 - sum(shares)], size=4000)
    ends = np.array([paired_difference(*row[:3], 80) for row in drawn.tolist()])
    covered = (ends[:, 0] <= shares[0] - shares[1]) & (shares[0] - shares[1] <= ends[:, 1])
    assert covered.mean() > 0.93


def test_a_combined_interval_is_that_of_its_only_part_and_covers_the_mean_of_two() -> None:
    assert combined_interval([(0.3, 0.1, 0.6)]) == pytest.approx((0.3, 0.1, 0.6))
    counts = np.random.default_rng(0).binomial([60, 90], [0.9, 0.5], size=(2000, 2))
    parts = [[(one / total, *wilson(one, total)) for one, total in zip(row, (60, 90), strict=True)] for row in counts]
    ends = np.array([combined_interval(row) for row in parts])
    covered = (ends[:, 1] <= 0.7) & (ends[:, 2] >= 0.7)
    assert 0.93 < covered.mean() < 0.97
