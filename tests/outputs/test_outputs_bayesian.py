"""Bayesian label mappings against matrices made by hand."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pixprompt.core import AnswerKind, ConfigError, ModelSpec, RangeError
from pixprompt.outputs import make_output, output_from_json
from pixprompt.outputs.base import tensor_from_json
from pixprompt.outputs.bayesian import choose_top, posterior_matrix, top_sums
from pixprompt.outputs.linear.folds import fifths


def one_hot_rows(sources: list[int], num_outputs: int) -> Tensor:
    return torch.eye(num_outputs)[sources] * 4


def test_blm_by_hand() -> None:
    # source 0 is answered twice to a and once to b; source 1 once to b; source 2 never
    outputs, labels = one_hot_rows([0, 0, 0, 1], 3), torch.tensor([0, 0, 1, 1])
    fitted = make_output("blm", classes=("a", "b"), spec=ModelSpec("toy", (8, 8), 3)).refit(outputs, labels)
    # p(a | 0) = 2/(3+1), p(b | 0) = 1/(3+1), p(b | 1) = 1/(1+1); then column b is divided by 1/4 + 1/2
    expected = torch.tensor([[1.0, 1 / 3], [0.0, 2 / 3], [0.0, 0.0]])
    torch.testing.assert_close(tensor_from_json(fitted.to_json()["matrix"]), expected)
    scores = torch.tensor([[1.0, 4.0, 9.0]])
    torch.testing.assert_close(fitted(scores), torch.tensor([[1.0, 3.0]]))
    unsmoothed = torch.tensor([[2 / 3, 1 / 3], [0, 1], [0, 0]])
    assert not torch.allclose(expected, unsmoothed / unsmoothed.sum(0))
    spec = ModelSpec("toy", (8, 8), 3)
    chosen = make_output("blm", classes=("a", "b"), spec=spec, smoothing=0.0).refit(outputs, labels)
    torch.testing.assert_close(tensor_from_json(chosen.to_json()["matrix"]), unsmoothed / unsmoothed.sum(0))
    assert "smoothing" not in fitted.to_json()
    again = output_from_json(chosen.to_json(), spec=spec).refit(outputs, labels)
    assert again.to_json() == chosen.to_json()


def test_the_number_of_sources_of_blm_plus_can_be_given() -> None:
    spec, outputs = ModelSpec("toy", (8, 8), 40), torch.randn(30, 40, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(30) % 2
    fitted = make_output("blm+", classes=("a", "b"), spec=spec, top=3).refit(outputs, labels)
    expected = posterior_matrix(top_sums(outputs.log_softmax(1), labels, 2, 3)).float()
    torch.testing.assert_close(tensor_from_json(fitted.to_json()["matrix"]), expected)
    assert (fitted.to_json()["top"], fitted.to_json()["chosen"]) == (3, 3)
    with pytest.raises(ConfigError, match="'blm' has no top"):
        make_output("blm", classes=("a", "b"), spec=spec, top=3)


def test_blm_plus_counts_as_many_sources_as_held_out_answers_ask_for() -> None:
    generator, spec = torch.Generator().manual_seed(0), ModelSpec("toy", (8, 8), 60)
    labels, noise = torch.arange(200) % 2, torch.randn(200, 60, generator=generator)
    peaked, spread = noise.clone(), noise.clone()
    peaked[torch.arange(200), torch.randint(20, (200,), generator=generator) + 20 * labels] += 6  # one says it all
    spread[labels == 1, :30] += 0.5  # each says a little
    chosen = {}
    for name, outputs in (("peaked", peaked), ("spread", spread)):
        losses = {}
        for top in (1, 2, 5, 10, 20, 50, 60):
            read, right = [], []
            for part in fifths(labels[order := torch.randperm(200, generator=torch.Generator().manual_seed(0))], 0):
                known, answered = order[~part], order[part]
                matrix = posterior_matrix(top_sums(outputs[known], labels[known], 2, top)).float()
                read.append(outputs[answered] @ matrix)
                right.append(labels[answered])
            scales = [2 ** (power / 2) for power in range(-8, 13)]
            losses[top] = min(cross_entropy(scale * torch.cat(read), torch.cat(right)).item() for scale in scales)
        fitted = make_output("blm+", classes=("a", "b"), spec=spec).refit(outputs, labels)
        chosen[name] = fitted.to_json()["chosen"]
        assert chosen[name] == min(losses, key=losses.__getitem__)
    assert chosen["peaked"] < 10 <= chosen["spread"]
    assert choose_top(spread[:2], labels[:2], 2) == 10  # a single answer for each class


def test_posterior_is_normalised_by_columns_not_by_rows() -> None:
    evidence = torch.tensor([[6.0, 2.0], [1.0, 8.0], [3.0, 3.0]])
    matrix = posterior_matrix(evidence)
    torch.testing.assert_close(matrix.sum(0), torch.ones(2).double())
    by_columns_first = (evidence / (evidence.sum(0) + 1)).double()
    assert not torch.allclose(matrix, by_columns_first / by_columns_first.sum(0), atol=1e-3)


@pytest.mark.parametrize("smoothing", [0.0, 1.0])
def test_no_class_and_no_source_gives_nan(smoothing: float, caplog: pytest.LogCaptureFixture) -> None:
    evidence = torch.tensor([[2.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 5.0], [0.0, 0.0, 0.0]])
    matrix = posterior_matrix(evidence, smoothing)
    assert torch.isfinite(matrix).all()
    torch.testing.assert_close(matrix.sum(0), torch.ones(3).double())
    assert torch.equal(matrix[:, 1], torch.full((4,), 0.25).double())
    assert torch.equal(matrix[[1, 3]][:, [0, 2]], torch.zeros(2, 2).double())
    totals = evidence.sum(1, keepdim=True) + smoothing
    naive = evidence / totals / (evidence / totals).sum(0)
    assert naive.isnan().any()
    with pytest.raises(RangeError):
        posterior_matrix(evidence, -0.1)


def test_a_class_without_examples_is_named(caplog: pytest.LogCaptureFixture) -> None:
    fresh = make_output("blm", classes=("a", "b", "c"), spec=ModelSpec("toy", (8, 8), 3))
    outputs = one_hot_rows([0, 2, 2], 3)
    with caplog.at_level(logging.WARNING, "pixprompt"):
        fitted = fresh.refit(outputs, torch.tensor([0, 2, 2]))
    assert "for b;" in caplog.text
    torch.testing.assert_close(fitted(outputs)[:, 1], outputs.mean(1))


def test_top_sums_by_hand() -> None:
    probabilities = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.6, 0.1, 0.3]])
    labels = torch.tensor([0, 1, 0])
    sums = top_sums(probabilities.log(), labels, 3, top=2)
    expected = torch.tensor([[1.1, 0, 0], [0.3, 0.2, 0], [0.3, 0.7, 0]]).double()
    torch.testing.assert_close(sums, expected, rtol=1e-6, atol=1e-7)
    everything = top_sums(probabilities.log(), labels, 3, top=3)
    assert not torch.allclose(everything, expected, atol=0.05)
    torch.testing.assert_close(everything.sum(), torch.tensor(3.0).double())


def test_blm_plus_works_with_few_sources() -> None:
    outputs, labels = one_hot_rows([0, 1, 2, 0], 3), torch.tensor([0, 1, 1, 0])
    fitted = make_output("blm+", classes=("a", "b"), spec=ModelSpec("toy", (8, 8), 3)).refit(outputs, labels)
    assert torch.equal(fitted(outputs).argmax(1), labels)


def test_more_classes_than_sources_are_fine() -> None:
    outputs, labels = one_hot_rows([0, 1, 1], 2), torch.tensor([0, 1, 2])
    spec = ModelSpec("toy", (8, 8), 2, AnswerKind.LOGITS)
    for kind in ("blm", "blm+", "linear"):
        logits = make_output(kind, classes=("a", "b", "c"), spec=spec).refit(outputs, labels)(outputs)
        assert logits.shape == (3, 3)
        assert logits[0].argmax() == 0
