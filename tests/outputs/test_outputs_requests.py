"""Requests and descriptions of output transforms that cannot be served, and which transforms are candidates."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pixprompt.core import AnswerKind, ConfigError, ModelSpec, PromptError, UnknownName
from pixprompt.outputs import candidates, make_output, output_from_json
from pixprompt.outputs.base import tensor_from_json, tensor_to_json

from .toy import CLASSES, LABELS, SIZE, answers, encode_text, spec_for


@pytest.mark.parametrize("kind", ["frequency", "blm", "first-k", "semantic", "given"])
def test_embeddings_allow_text_and_linear_only(kind: str) -> None:
    spec = ModelSpec("clip", (8, 8), SIZE, AnswerKind.EMBEDDINGS, LABELS)
    with pytest.raises(ConfigError, match="choose one of attributes, lda, linear, residual, reweighted, ridge, text"):
        make_output(kind, classes=CLASSES, spec=spec)


def test_bad_requests_say_what_to_do(tmp_path: Path) -> None:
    spec = spec_for("linear")
    with pytest.raises(UnknownName, match="Did you mean 'frequency'"):
        make_output("frequenzy", classes=CLASSES, spec=spec)
    with pytest.raises(ConfigError, match="distinct"):
        make_output("linear", classes=("a", "a"), spec=spec)
    with pytest.raises(ConfigError, match="distinct"):
        make_output("linear", classes=(), spec=spec)
    with pytest.raises(ConfigError, match="goes with the output transform 'given' or 'attributes' or 'reweighted'"):
        make_output("frequency", classes=CLASSES, spec=spec, mapping_file=tmp_path / "m.json")
    for kind in ("first-k", "random", "frequency", "iterative", "semantic"):
        with pytest.raises(ConfigError, match="has only 7"):
            make_output(kind, classes=[str(k) for k in range(8)], spec=spec, encode_text=encode_text)


def test_candidates_can_all_be_made_and_fitted() -> None:
    spec = spec_for("linear")
    assert candidates(spec, False) == ("frequency", "blm", "blm+", "linear")
    assert candidates(spec, False, num_classes=8) == ("blm", "blm+", "linear")
    assert candidates(spec, False, classes=[str(k) for k in range(8)]) == ("blm", "blm+", "linear")
    bare = replace(spec, answer=AnswerKind.LABEL)
    assert candidates(bare, False, 3) == ("frequency", "blm", "linear"), "with bare labels, blm+ is blm"
    clip = spec_for("text")
    assert candidates(clip, False) == ("linear",)
    assert candidates(clip, True) == ("text", "linear")
    outputs, labels = answers()
    for kind in candidates(clip, True):
        output = make_output(kind, classes=CLASSES, spec=clip, encode_text=encode_text).refit(outputs, labels)
        assert output(outputs).shape == (40, 3)


def test_tensors_keep_every_bit() -> None:
    tensor = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([1e-30, 1e30, 1, -1, 0])
    values = json.loads(json.dumps(tensor_to_json(tensor)))
    assert torch.equal(tensor_from_json(values), tensor)
    assert torch.equal(tensor_from_json(tensor_to_json(tensor.T)), tensor.T)
    for damage in (
        {"base64": values["base64"][:-4]},
        {"shape": [3, 4]},
        {"dtype": "int8"},
        {"base64": "%%%%"},
        {"shape": None},
    ):
        with pytest.raises(PromptError):
            tensor_from_json({**values, **damage})
    with pytest.raises(PromptError, match="finite"):
        tensor_from_json(tensor_to_json(torch.tensor([float("nan")])))


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("first-k", {"mapping": [[0], [1]]}),
        ("first-k", {"mapping": [[0], [1], []]}),
        ("first-k", {"mapping": [[0], [1], [SIZE]]}),
        ("first-k", {"mapping": [[0], [1], [2.0]]}),
        ("blm", {"matrix": tensor_to_json(torch.zeros(3, SIZE))}),
        ("linear", {"weight": tensor_to_json(torch.zeros(3, SIZE))}),
        ("linear", {"present": [0, 2, 1]}),
        ("linear", {"present": [0, 1, 3]}),
        ("text", {"embeddings": tensor_to_json(torch.zeros(2, SIZE))}),
        ("text", {"logit_scale": 0}),
    ],
)
def test_states_that_do_not_fit_are_refused(kind: str, damage: dict[str, object]) -> None:
    spec = spec_for(kind)
    fitted = make_output(kind, classes=CLASSES, spec=spec, encode_text=encode_text).refit(*answers())
    with pytest.raises(PromptError, match="cannot be used"):
        output_from_json({**fitted.to_json(), **damage}, spec=spec)
