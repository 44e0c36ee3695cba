"""What every output transform must keep, parametrised over the registry."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from pixprompt.core import (
    AnswerKind,
    ConfigError,
    ModelSpec,
    OutputTransform,
    PromptError,
    RangeError,
    ShapeError,
)
from pixprompt.outputs import OUTPUTS, Transform, make_output, output_from_json

from .toy import CLASSES, FITTED, SIZE, answers, encode_text, file_for, spec_for


@pytest.fixture(scope="module", params=sorted(OUTPUTS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def fresh(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Transform:
    return make_output(
        kind,
        classes=CLASSES,
        spec=spec_for(kind),
        seed=3,
        mapping_file=file_for(kind, tmp_path_factory.mktemp("given")),
        encode_text=encode_text,
    )


@pytest.fixture(scope="module")
def fitted(fresh: Transform) -> Transform:
    return fresh.refit(*answers())


def test_the_names_are_those_of_the_documents() -> None:
    assert set(OUTPUTS) == {
        "text", "first-k", "random", "given", "frequency", "iterative", "blm", "blm+", "semantic", "linear",
        "lda", "ridge", "names", "attributes", "reweighted", "weighted", "residual",
    }  # fmt: skip
    assert all(OUTPUTS[name].kind == name and OUTPUTS.describe()[name] for name in OUTPUTS)
    assert {name for name in OUTPUTS if OUTPUTS[name].fits} == set(FITTED)
    assert {name for name in OUTPUTS if OUTPUTS[name].refits_in_training} == set(FITTED) - {"frequency"}


def test_logits_have_the_shape_and_outputs_stay_as_they_were(fitted: Transform) -> None:
    outputs, _ = answers(9, seed=1)
    before = outputs.clone()
    logits = fitted(outputs)
    assert logits.shape == (9, len(CLASSES))
    assert logits.dtype == torch.float32
    assert torch.equal(outputs, before)
    assert len({float(value) for value in logits.flatten()}) > len(CLASSES)  # not a constant


def test_is_the_protocol(fitted: Transform) -> None:
    transform: OutputTransform = fitted
    assert transform.classes == CLASSES


def test_refit_leaves_the_old_value_and_its_inputs(fresh: Transform) -> None:
    outputs, labels = answers()
    before = outputs.clone(), labels.clone()
    first = fresh.refit(outputs, labels)
    if not fresh.fits:
        assert first is fresh
        return
    probe, _ = answers(5, seed=1)
    logits = first(probe)
    second = first.refit(outputs.roll(-2, dims=1), labels)
    assert second is not first
    assert type(second) is type(first)
    assert torch.equal(first(probe), logits)
    assert not torch.equal(second(probe), logits)
    assert torch.equal(outputs, before[0])
    assert torch.equal(labels, before[1])
    with pytest.raises(ConfigError, match="refit"):
        fresh(probe)
    with pytest.raises(ConfigError, match="refit"):
        fresh.to_json()


def test_json_round_trip_is_bit_equal(fitted: Transform) -> None:
    values = json.loads(json.dumps(fitted.to_json(), allow_nan=False))
    assert values["kind"] == fitted.kind
    assert values["classes"] == list(CLASSES)
    again = output_from_json(values, spec=spec_for(fitted.kind))
    outputs, _ = answers(11, seed=2)
    assert torch.equal(again(outputs), fitted(outputs))
    assert again.to_json() == fitted.to_json()
    assert torch.equal(again.refit(*answers(seed=5))(outputs), fitted.refit(*answers(seed=5))(outputs))


def test_refit_ignores_the_global_seed(fresh: Transform) -> None:
    torch.manual_seed(1)
    first = fresh.refit(*answers()).to_json()
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert fresh.refit(*answers()).to_json() == first
    assert torch.equal(torch.get_rng_state(), state)


def test_batch_size_does_not_matter(fitted: Transform) -> None:
    outputs, _ = answers(13, seed=3)
    single = torch.cat([fitted(row[None]) for row in outputs])
    torch.testing.assert_close(fitted(outputs), single, rtol=1e-5, atol=1e-5)


def test_gradients_are_those_of_finite_differences(fitted: Transform) -> None:
    outputs, _ = answers(4, seed=4)
    outputs.requires_grad_(True)
    weights = torch.linspace(-1, 1, 4 * len(CLASSES)).reshape(4, -1)
    (fitted(outputs) * weights).sum().backward()  # type: ignore[no-untyped-call]
    step = torch.zeros_like(outputs)
    step[2, 3], step[1, 2] = 1e-2, -1e-2
    with torch.no_grad():
        change = ((fitted(outputs + step) - fitted(outputs - step)) * weights).sum() / 2
    assert outputs.grad is not None
    torch.testing.assert_close((outputs.grad * step).sum(), change, rtol=1e-2, atol=1e-4)


def test_a_class_without_examples_is_well_defined(fresh: Transform) -> None:
    outputs, labels = answers(num_classes=2)
    logits = fresh.refit(outputs, labels)(outputs)
    assert torch.isfinite(logits).all()
    if fresh.kind in ("blm+", "linear"):
        assert (logits[:, :2].argmax(1) == labels).float().mean() > 0.6


def test_one_labelled_answer_is_enough(fresh: Transform) -> None:
    outputs, labels = answers(1)
    assert torch.isfinite(fresh.refit(outputs, labels)(answers()[0])).all()


def test_mixed_precision_does_not_round_the_logits(fitted: Transform) -> None:
    outputs, _ = answers(6, seed=5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(fitted(outputs), fitted(outputs.clone()))
        inside = fitted(outputs)
    assert torch.equal(inside, fitted(outputs))


def test_answers_of_inference_mode_can_be_learned_from(fresh: Transform) -> None:
    with torch.inference_mode():
        outputs, labels = answers()
        learned = fresh.refit(outputs, labels)
    probe = answers(3)[0].requires_grad_(True)
    learned(probe).sum().backward()  # type: ignore[no-untyped-call]
    assert probe.grad is not None


def test_to_moves_every_tensor(fitted: Transform) -> None:
    moved = fitted.to("meta")
    assert moved(torch.empty(2, SIZE, device="meta")).device.type == "meta"
    assert moved.kind == fitted.kind
    assert fitted(answers(2)[0]).device.type == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_learns_beside_a_model_on_a_gpu(fresh: Transform, fitted: Transform) -> None:
    outputs, labels = answers()
    learned = fresh.to("cuda").refit(outputs.cuda(), labels.cuda())
    torch.testing.assert_close(learned(outputs.cuda()).cpu(), fitted(outputs))


def test_wrong_shapes_and_labels_are_refused(fresh: Transform, fitted: Transform) -> None:
    with pytest.raises(ShapeError, match=rf"\(N, {SIZE}\), got \(2, {SIZE + 1}\)"):
        fitted(torch.zeros(2, SIZE + 1))
    with pytest.raises(ShapeError):
        fitted(torch.zeros(SIZE))
    if not fresh.fits:
        return
    outputs, labels = answers()
    with pytest.raises(ShapeError, match="M >= 1"):
        fresh.refit(outputs, labels[:-1])
    with pytest.raises(ShapeError, match="M >= 1"):
        fresh.refit(outputs[:0], labels[:0])
    for wrong in (-1, len(CLASSES)):
        with pytest.raises(RangeError, match=r"0\.\.2"):
            fresh.refit(outputs[:1], torch.tensor([wrong]))


def test_damaged_descriptions_are_refused(fitted: Transform) -> None:
    spec, values = spec_for(fitted.kind), fitted.to_json()
    for name in set(values) - {"floor", "strength", "chosen", "sources"}:  # which the first prompt files lack
        with pytest.raises(PromptError):
            output_from_json({key: value for key, value in values.items() if key != name}, spec=spec)
    for floor in (None, 0, -1.0, 1.0, "low"):
        with pytest.raises(PromptError):
            output_from_json({**values, "floor": floor}, spec=spec)
    for name in values:
        if name not in ("words", "templates", "seed", "logit_scale", "answer", "strength"):
            with pytest.raises(PromptError):
                output_from_json({**values, name: None}, spec=spec)
    with pytest.raises(PromptError, match="newer"):
        output_from_json({**values, "kind": "oracle"}, spec=spec)
    with pytest.raises(PromptError, match="made for 7 outputs"):
        output_from_json(values, spec=ModelSpec("big", (8, 8), SIZE + 1, spec.answer))
    other = AnswerKind.LOGITS if spec.answer is AnswerKind.EMBEDDINGS else AnswerKind.EMBEDDINGS
    with pytest.raises(PromptError):
        output_from_json(values, spec=ModelSpec("other", (8, 8), SIZE, other))


@pytest.mark.parametrize(
    "kind", sorted(kind for kind in OUTPUTS if AnswerKind.LOGITS in OUTPUTS[kind].answers), scope="module"
)
def test_probabilities_are_read_as_log_probabilities(kind: str, fresh: Transform) -> None:
    """Trained on logits, applied to the probabilities of the same model: the same decisions."""
    outputs, labels = answers(60)
    probable = replace(spec_for(kind), name="api", answer=AnswerKind.PROBABILITIES)
    values = fresh.refit(outputs, labels).to_json()
    if not fresh.shift_invariant:
        with pytest.raises(PromptError, match="made for logits"):
            output_from_json(values, spec=probable)
        return
    remote = output_from_json(values, spec=probable)
    local = fresh.refit(outputs, labels)
    assert torch.equal(remote(outputs.softmax(1)).argmax(1), local(outputs).argmax(1))
    certain = torch.eye(SIZE)
    assert torch.isfinite(remote(certain)).all()
    assert float(remote(certain).min()) >= float(np.log(1e-6)) - 1e-4
