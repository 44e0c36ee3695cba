"""Views whose answers are known in every respect: each shows some of the class, with noise of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from pixprompt.search import AnswerPool


def answers_of(labels: Tensor, strengths: Sequence[float], seed: int, *, num_outputs: int = 6) -> list[Tensor]:
    """Answers (N, S) of each view: the class, as strongly as asked for, plus standard normal noise."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(len(strengths), int(labels.max()) + 1, num_outputs, generator=generator)
    return [
        strength * directions[view][labels] + torch.randn(len(labels), num_outputs, generator=generator)
        for view, strength in enumerate(strengths)
    ]


def pool_of(answers: Sequence[Tensor], labels: Tensor, budget: int) -> AnswerPool:
    """A pool over answers that exist already."""
    return AnswerPool(
        query=lambda view, positions: answers[view][positions],
        order=torch.arange(len(labels)),
        labels=labels,
        scores=lambda outputs: outputs,
        budget=budget,
    )


def balanced(count: int, num_classes: int) -> Tensor:
    """Labels that take turns."""
    return torch.arange(count) % num_classes


def indicators(labels: Tensor) -> Tensor:
    """One-hot rows, float64."""
    return one_hot(labels).double()
