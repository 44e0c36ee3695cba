"""The learning-rate schedule against hand-made values."""

import math

import pytest
import torch

from pixprompt.optimizers import OPTIMIZERS, warmup_cosine


def test_warm_up_starts_above_zero_and_ends_at_one() -> None:
    assert [warmup_cosine(step, total=100, warmup=4) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(("step", "share"), [(0, 1.0), (25, 0.5 * (1 + math.sqrt(0.5))), (50, 0.5), (100, 0.0)])
def test_cosine(step: int, share: float) -> None:
    assert warmup_cosine(step, total=100, warmup=0) == pytest.approx(share)


def test_never_negative_past_the_end() -> None:
    assert warmup_cosine(500, total=100, warmup=10) == 0.0


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_optimizer_descends_a_quadratic(name: str) -> None:
    theta = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer = OPTIMIZERS[name]([theta], lr=0.05, momentum=0.9, weight_decay=0.0)
    for _ in range(300):
        optimizer.zero_grad()
        theta.square().sum().backward()
        optimizer.step()
    assert theta.abs().max() < 0.05
