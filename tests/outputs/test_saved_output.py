"""Saved output transforms in numpy, against the torch ones that they were saved from."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from pixprompt.core import AnswerKind, ModelSpec, PromptError
from pixprompt.outputs import OUTPUTS, SavedOutput, Transform, make_output

from .toy import CLASSES, SIZE, answers, encode_text, file_for, spec_for


def saved(kind: str, path: Any, answer: AnswerKind, views: int) -> tuple[Transform, ModelSpec, torch.Tensor]:
    """A transform fitted on answers of a kind, the model's spec, and new answers (5, views * S)."""
    spec = replace(spec_for(kind), answer=answer, floor=0.005)
    output = make_output(
        kind,
        classes=CLASSES,
        spec=spec,
        mapping_file=file_for(kind, path),
        encode_text=encode_text,
        views=views,
    )
    parts = [answers(45, seed=seed) for seed in range(views)]
    rows = torch.cat([as_answered(outputs, answer) for outputs, _ in parts], 1)
    return output.refit(rows[:40], parts[0][1][:40]), spec, rows[40:]


def as_answered(outputs: torch.Tensor, answer: AnswerKind) -> torch.Tensor:
    shares = outputs.softmax(1)
    if answer is AnswerKind.PROBABILITIES:
        return shares.round(decimals=2)
    if answer is AnswerKind.TOP_K:
        return torch.where(shares >= shares.topk(3, 1).values[:, -1:], shares, 0.0)
    if answer is AnswerKind.LABEL:
        return torch.eye(SIZE)[outputs.argmax(1)]
    return outputs


PAIRS = [(kind, answer) for kind in sorted(OUTPUTS) for answer in sorted(OUTPUTS[kind].answers)]


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize(("kind", "answer"), PAIRS)
def test_it_agrees_with_what_was_saved(kind: str, answer: AnswerKind, views: int, tmp_path: Any) -> None:
    transform, spec, rows = saved(kind, tmp_path, answer, views)
    values = json.loads(json.dumps(transform.to_json()))
    read = SavedOutput(values, spec)
    logits = read(rows.numpy())
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, transform(rows).numpy(), rtol=2e-5, atol=2e-5)
    assert (read.classes, read.kind, read.views) == (CLASSES, kind, views)


def test_a_class_without_examples_is_one_below_the_others(tmp_path: Any) -> None:
    transform, spec, rows = saved("linear", tmp_path, AnswerKind.LOGITS, 1)
    outputs, labels = answers(40)
    few = transform.refit(outputs[labels != 1], labels[labels != 1])
    np.testing.assert_allclose(SavedOutput(few.to_json(), spec)(rows.numpy()), few(rows).numpy(), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"num_outputs": 8}, "made for 8 outputs"),
        ({"kind": "nobody"}, "newer pixprompt"),
        ({"answer": "probabilities"}, "made for probabilities"),
        ({"labels": ["other"] * SIZE}, "other names"),
        ({"bias": {"dtype": "float64", "shape": [3], "base64": ""}}, "float32"),
        ({"present": [0, 7]}, "cannot be used"),
        ({"weight": None}, "cannot be used"),
        ({"classes": ["cat"]}, "cannot be used"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], reason: str, tmp_path: Any) -> None:
    transform, spec, _ = saved("linear", tmp_path, AnswerKind.LOGITS, 1)
    with pytest.raises(PromptError, match=reason):
        SavedOutput({**transform.to_json(), **change}, spec)


def test_a_source_that_the_model_lacks_is_refused(tmp_path: Any) -> None:
    transform, spec, _ = saved("first-k", tmp_path, AnswerKind.LOGITS, 1)
    for mapping in ([[0], [1], [SIZE]], [[0], [-1], [2]], [[0], [], [2]], [[0], [1]]):
        with pytest.raises(PromptError):
            SavedOutput({**transform.to_json(), "mapping": mapping}, spec)
