"""Optimisers that follow gradients, against what they are by hand."""

import pytest
import torch

from pixprompt.optimizers import OPTIMIZERS


def test_a_normalized_step_has_length_lr_over_all_parameters() -> None:
    first, second = (torch.nn.Parameter(torch.tensor(value)) for value in ([1.0, 2.0], [3.0]))
    optimizer = OPTIMIZERS["normalized-sgd"]([first, second], lr=70.0, momentum=0.0, weight_decay=0.0)
    first.grad, second.grad = torch.tensor([2e-4, 3e-4]), torch.tensor([6e-4])  # of length 7e-4
    optimizer.step()
    assert first.tolist() == pytest.approx([1 - 20, 2 - 30], abs=1e-3)
    assert second.tolist() == pytest.approx([3 - 60], abs=1e-3)
    first.grad, second.grad = torch.zeros(2), torch.zeros(1)
    optimizer.step()  # nowhere to go, and no division by nothing
    assert second.tolist() == pytest.approx([3 - 60], abs=1e-3)
