"""A few sources for each class with learned weights: at the optimum of its own objective, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pixprompt.core import ModelSpec, RangeError
from pixprompt.outputs import Transform, make_output, output_from_json
from pixprompt.outputs.base import tensor_from_json
from pixprompt.outputs.bayesian import posterior_matrix, top_sums
from pixprompt.outputs.linear.head import STRENGTHS
from pixprompt.outputs.linear.weighted import WeightedSources

SPEC, CLASSES = ModelSpec("toy", (8, 8), 30), ("a", "b", "c")


def answers() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(240) % 3
    outputs = torch.randn(240, 30, generator=generator)
    for k in range(3):
        outputs[labels == k, 10 * k : 10 * k + 4] += 1.5
    return outputs, labels


def fitted(sources: int | None) -> Transform:
    return make_output("weighted", classes=CLASSES, spec=SPEC, sources=sources).refit(*answers())


def test_each_class_reads_its_best_sources_alone() -> None:
    outputs, labels = answers()
    weight = tensor_from_json(fitted(4).to_json()["weight"])
    for k in range(3):
        assert weight[:, k].nonzero().flatten().tolist() == list(range(10 * k, 10 * k + 4))
    best = posterior_matrix(top_sums(outputs, labels, 3, 30)).topk(4, dim=0).indices
    assert torch.equal(best.sort(0).values, torch.stack([torch.arange(4) + 10 * k for k in range(3)], 1))
    assert (tensor_from_json(fitted(None).to_json()["weight"]) != 0).sum(0).tolist() == [20] * 3


@pytest.mark.parametrize("sources", [4, 30])
def test_its_weights_are_the_optimum_of_the_penalized_regression(sources: int) -> None:
    outputs, labels = answers()
    values = fitted(sources).to_json()
    weight, bias = (tensor_from_json(values[name]).double() for name in ("weight", "bias"))
    read, free = (weight != 0).any(1), weight != 0
    assert values["strength"] in STRENGTHS
    centered = outputs.double() - outputs.double().mean(0)
    scale = centered[:, read].std(unbiased=False)
    own = (weight * scale).requires_grad_()
    shift = (bias + outputs.double().mean(0) @ weight).requires_grad_()
    loss = torch.nn.functional.cross_entropy(centered / scale @ own + shift, labels)
    loss = loss + values["strength"] / 2 * own.square().sum()
    slopes = torch.autograd.grad(loss, [own, shift])
    assert slopes[0][free].abs().max() < 1e-4
    assert slopes[1].abs().max() < 1e-4
    assert sources == 30 or slopes[0][~free].abs().max() > 1e-3  # others would help, and are left out


def test_another_fit_keeps_the_strength_and_a_file_the_number_of_sources() -> None:
    head = fitted(1)
    assert isinstance(head, WeightedSources)
    assert replace(head, strength=10.0).refit_alike(*answers()).strength == 10.0
    assert replace(head, strength=10.0).refit(*answers()).strength == head.strength < 10.0
    outputs, labels = answers()
    restored = output_from_json(head.to_json(), spec=SPEC)
    assert torch.equal(restored.refit(outputs, labels)(outputs), head(outputs))


def test_a_class_reads_at_least_one() -> None:
    with pytest.raises(RangeError, match="1 or more sources"):
        make_output("weighted", classes=CLASSES, spec=SPEC, sources=0)
