"""Answers under several views: every output transform reads them, joint ones together, the others one by one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pixprompt.core import AnswerKind, ModelSpec, PromptError, ShapeError
from pixprompt.outputs import OUTPUTS, Transform, make_output, output_from_json
from pixprompt.outputs.linear.form import principal_axes
from pixprompt.search import kernel_of

from .toy import CLASSES, SIZE, answers, encode_text, file_for, spec_for

VIEWS = 3


def make(kind: str, folder: Path, views: int) -> Transform:
    return make_output(
        kind,
        classes=CLASSES,
        spec=spec_for(kind),
        mapping_file=file_for(kind, folder),
        encode_text=encode_text,
        views=views,
    )


def side_by_side(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Different answers about images of the same classes."""
    rows, labels = answers(count, seed)
    generator = torch.Generator().manual_seed(seed)
    return torch.cat([rows + torch.randn(rows.shape, generator=generator) for _ in range(VIEWS)], 1), labels


@pytest.mark.parametrize("kind", sorted(OUTPUTS))
def test_several_views_survive_the_json(kind: str, tmp_path: Path) -> None:
    fitted = make(kind, tmp_path, VIEWS).refit(*side_by_side(40, 0))
    values = json.loads(json.dumps(fitted.to_json(), allow_nan=False))
    assert (values["views"], values["num_outputs"]) == (VIEWS, SIZE)
    again = output_from_json(values, spec=spec_for(kind))
    outputs, _ = side_by_side(11, 2)
    assert again(outputs).shape == (11, len(CLASSES))
    assert torch.equal(again(outputs), fitted(outputs))
    with pytest.raises(ShapeError, match=str(VIEWS * SIZE)):
        fitted(outputs[:, :SIZE])
    assert "views" not in make(kind, tmp_path, 1).refit(*answers()).to_json()


@pytest.mark.parametrize("kind", sorted(kind for kind in OUTPUTS if not OUTPUTS[kind].joint))
def test_kinds_that_are_not_joint_average_the_logits_of_each_view(kind: str, tmp_path: Path) -> None:
    outputs, labels = side_by_side(40, 0)
    fitted = make(kind, tmp_path, VIEWS).refit(outputs, labels)
    alone = make(kind, tmp_path, 1).refit(outputs.reshape(-1, SIZE), labels.repeat_interleave(VIEWS))
    mean = torch.stack([alone(part) for part in outputs.split(SIZE, 1)]).mean(0)
    assert torch.allclose(fitted(outputs), mean, atol=1e-5)


def test_a_joint_head_gains_from_views_that_say_different_things() -> None:
    """The label is the sum of two bits, and each view shows one of them."""
    bits = torch.randint(2, (200, 2), generator=torch.Generator().manual_seed(0))
    outputs = torch.cat([torch.nn.functional.one_hot(bits[:, i], 2).float() for i in range(2)], 1)
    spec = ModelSpec("bits", (8, 8), 2)
    labels = 2 * bits[:, 0] + bits[:, 1]
    both = make_output("linear", classes=list("abcd"), spec=spec, views=2).refit(outputs, labels)
    one = make_output("linear", classes=list("abcd"), spec=spec).refit(outputs[:, :2], labels)
    assert (both(outputs).argmax(1) == labels).all()
    assert (one(outputs[:, :2]).argmax(1) == labels).double().mean() < 0.6


def test_top_k_answers_share_what_each_view_leaves_over() -> None:
    """Side by side the scores sum to more than 1; that must not be taken for independent scores."""
    spec = ModelSpec("k", (8, 8), 4, AnswerKind.TOP_K)
    row = torch.tensor([[0.6, 0.2, 0.0, 0.0]])
    one = make_output("first-k", classes=["a", "b", "c"], spec=spec)
    two = make_output("first-k", classes=["a", "b", "c"], spec=spec, views=2)
    assert torch.allclose(two(torch.cat([row, row], 1)), one(row))


@pytest.mark.parametrize("views", [0, -1, 1.5, "2", True])
def test_nonsense_numbers_of_views_are_refused(views: object, tmp_path: Path) -> None:
    values = make("linear", tmp_path, VIEWS).refit(*side_by_side(40, 0)).to_json()
    with pytest.raises(PromptError):
        output_from_json({**values, "views": views}, spec=spec_for("linear"))


def test_linear_transforms_learn_in_the_kernel_by_which_views_are_chosen() -> None:
    """So what a score says under one view counts in part under another, though the transform stays linear in each."""
    outputs, _ = side_by_side(24, 0)
    scores = outputs.double()
    features, axes, center = principal_axes(scores, VIEWS)
    assert axes.shape == (VIEWS * SIZE, features.shape[1])
    assert torch.allclose((scores - center) @ axes, features)
    kernel, inner = kernel_of(*scores.split(SIZE, 1)), features @ features.T
    assert torch.allclose(inner * (kernel.trace() / inner.trace()), kernel)
