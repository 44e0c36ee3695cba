"""The residual head: the texts where nothing was learned, an optimum where something was."""

from __future__ import annotations

import torch
from torch.nn.functional import cosine_similarity, one_hot

from pixprompt.outputs import make_output
from pixprompt.outputs.linear.few_answers import best_factor
from pixprompt.outputs.linear.form import principal_axes
from pixprompt.outputs.linear.residual import ResidualHead

from .toy import CLASSES, answers, encode_text, spec_for


def fitted(count: int, num_classes: int = 3) -> ResidualHead:
    output = make_output(
        "residual", classes=CLASSES, spec=spec_for("residual"), encode_text=encode_text, logit_scale=2.0
    )
    assert isinstance(output, ResidualHead)
    return output.refit(*answers(count, num_classes=num_classes))


def test_the_correction_is_where_loss_and_penalty_balance() -> None:
    head, (outputs, labels) = fitted(200), answers(200)
    features, axes, _ = principal_axes(outputs.double())
    residuals = (head(outputs).double().softmax(1) - one_hot(labels)) / len(labels)
    assert head.weight is not None
    texts = head.texts.double()
    correction = torch.linalg.lstsq(
        axes, head.weight.double() - best_factor([(outputs @ head.texts, labels)])[1] * texts
    ).solution
    torch.testing.assert_close(features.T @ residuals, -head.strength * correction, atol=1e-5, rtol=1e-3)
    assert residuals.sum(0).abs().max() < 1e-5


def test_a_class_without_answers_keeps_its_text() -> None:
    head = fitted(6, num_classes=2)
    text = make_output("text", classes=CLASSES, spec=spec_for("text"), encode_text=encode_text)
    outputs, _ = answers(9, seed=1)
    assert head.weight is not None
    likeness = cosine_similarity(head.weight, head.texts, dim=0)
    assert likeness[2] > 0.9
    assert torch.allclose(head.texts, 2.0 * text.embeddings.T)
    assert torch.isfinite(head(outputs)).all()
