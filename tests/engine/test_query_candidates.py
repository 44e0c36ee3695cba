"""Which prompt is worth keeping."""

import pytest
import torch

from pixprompt.core import ModelSpec
from pixprompt.engine.answers import Answered
from pixprompt.engine.fit.answers.zeroth_order import Candidate
from pixprompt.outputs import make_output

OUTPUT = make_output("first-k", classes=("a", "b"), spec=ModelSpec("toy", (8, 8), 2))


def candidate(right: torch.Tensor, num_validated: int = 1) -> Candidate:
    """Reads the images right where it says so."""
    labels = torch.arange(len(right)) % 2
    predicted = torch.where(right.bool(), labels, 1 - labels)
    outputs = torch.nn.functional.one_hot(predicted, 2).float() * 4
    return Candidate("search", torch.zeros(1), OUTPUT, Answered(outputs, labels), num_validated=num_validated)


def rights(seed: int, share: float, count: int = 100) -> torch.Tensor:
    return (torch.rand(count, generator=torch.Generator().manual_seed(seed)) < share).float()


def test_the_best_of_many_prompts_without_merit_is_rarely_kept() -> None:
    """Of eight candidates as good as none the best beats it by chance; with a hurdle that does not know, mostly."""
    num_saved, careless = 0, 0
    for trial in range(120):
        none = candidate(rights(1000 * trial, 0.8))
        best = max(
            (candidate(rights(1000 * trial + look, 0.8), num_validated=8) for look in range(1, 9)), key=lambda c: c.rank
        )
        num_saved += best.beats(none)
        careless += candidate(best.correct, num_validated=1).beats(none)
    assert num_saved <= 0.4 * careless
    assert careless > 40


def test_a_prompt_that_helps_is_kept() -> None:
    none, better = rights(1, 0.6, 200), rights(2, 0.95, 200)
    assert candidate(better, num_validated=10).beats(candidate(none))
    assert not candidate(none, num_validated=10).beats(candidate(better))
    assert not candidate(none).beats(candidate(none))


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_is_decided_on_less_than_two_images(count: int) -> None:
    assert not candidate(torch.ones(count)).beats(candidate(torch.zeros(count)))
