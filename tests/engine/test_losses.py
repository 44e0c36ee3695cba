"""What is minimised."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from pixprompt.engine.fit.gradients.losses import LOSSES, loss_of

LOGITS = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
LABELS = torch.tensor([0, 0, 1])


def test_cross_entropy_is_torchs() -> None:
    assert float(loss_of("cross-entropy", LOGITS, LABELS)) == pytest.approx(float(cross_entropy(LOGITS, LABELS)))


def test_focal_by_hand() -> None:
    """(1 - p)^2 * -log p, arXiv 1708.02002 equation 4 with gamma 2."""
    shares = [1 / (1 + math.exp(-2)), 1 / (1 + math.exp(1)), 1 / (1 + math.exp(3))]
    expected = sum((1 - p) ** 2 * -math.log(p) for p in shares) / 3
    assert float(loss_of("focal", LOGITS, LABELS)) == pytest.approx(expected, rel=1e-6)
    assert expected != pytest.approx(float(loss_of("cross-entropy", LOGITS, LABELS)), rel=0.05)


@pytest.mark.parametrize("name", LOSSES)
def test_right_and_sure_costs_least(name: str) -> None:
    sure = loss_of(name, torch.tensor([[9.0, 0.0]]), torch.tensor([0]))
    wrong = loss_of(name, torch.tensor([[9.0, 0.0]]), torch.tensor([1]))
    assert sure < 0.01 < wrong


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(KeyError, match="focla"):
        loss_of("focla", LOGITS, LABELS)
