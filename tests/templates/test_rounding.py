"""Straight-through rounding and clamping: values, gradients, and the plain clamp that would be stuck."""

import pytest
import torch

from pixprompt.templates import clamp_through, round_through


def test_round_through_rounds_exactly_and_passes_the_gradient() -> None:
    values = (torch.rand(10_000, generator=torch.Generator().manual_seed(0)) * 600 - 300).requires_grad_()
    rounded = round_through(values)
    assert torch.equal(rounded, values.round())
    rounded.sum().backward()
    assert torch.equal(values.grad, torch.ones_like(values))


@pytest.mark.parametrize(
    ("value", "gradient", "passes"),
    [
        (0.5, 1.0, True),
        (0.5, -1.0, True),
        (0.0, 1.0, True),
        (-0.1, 1.0, False),  # a descent step would go further down
        (-0.1, -1.0, True),
        (1.1, 1.0, True),
        (1.1, -1.0, False),
    ],
)
def test_clamp_through_passes_what_leads_back(value: float, gradient: float, passes: bool) -> None:
    values = torch.tensor([value], requires_grad=True)
    clamped = clamp_through(values, 0.0, 1.0)
    assert clamped.item() == pytest.approx(min(1.0, max(0.0, value)))
    clamped.backward(torch.tensor([gradient]))
    assert values.grad.item() == (gradient if passes else 0.0)


@pytest.mark.parametrize(("clamp", "escapes"), [(clamp_through, True), (torch.clamp, False)])
def test_only_a_plain_clamp_gets_stuck(clamp, escapes: bool) -> None:
    delta = torch.tensor([-0.2], requires_grad=True)  # on a black pixel, and the loss wants it bright
    optimizer = torch.optim.SGD([delta], lr=0.1)
    for _ in range(50):
        optimizer.zero_grad()
        (clamp(0.0 + delta, 0.0, 1.0) - 0.8).square().sum().backward()
        optimizer.step()
    assert (delta.item() > 0.5) == escapes
