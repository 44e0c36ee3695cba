"""Answers as models give them: rounded probabilities, top-k and bare labels, through every output transform."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from pixprompt.core import AnswerKind, ModelSpec, PromptError
from pixprompt.outputs import OUTPUTS, Transform, decimals_of, floor_of, make_output, output_from_json
from pixprompt.outputs.bayesian import top_sums
from pixprompt.outputs.scores import DOUBT, to_scores

from .toy import CLASSES, SIZE, answers, encode_text, spec_for

KINDS = sorted(kind for kind in OUTPUTS if AnswerKind.LOGITS in OUTPUTS[kind].answers)
PARTIAL = (AnswerKind.PROBABILITIES, AnswerKind.TOP_K, AnswerKind.LABEL)


def as_kind(logits: Tensor, answer: AnswerKind, top: int = 3) -> Tensor:
    """The same answers, as a model of that kind gives them."""
    shares = logits.softmax(1)
    if answer is AnswerKind.PROBABILITIES:
        return shares
    best = shares.topk(top if answer is AnswerKind.TOP_K else 1)
    values = best.values if answer is AnswerKind.TOP_K else torch.ones_like(best.values)
    return torch.zeros_like(shares).scatter(1, best.indices, values)


def make(kind: str, answer: AnswerKind, tmp_path: Path, floor: float = 1e-6) -> Transform:
    path = tmp_path / "mapping.json"
    path.write_text('{"cat": 2, "dog": 3, "sea_horse": 4}')
    return make_output(
        kind,
        classes=CLASSES,
        spec=replace(spec_for(kind), answer=answer, floor=floor),
        mapping_file=path if kind == "given" else None,
        encode_text=encode_text,
    )


# Every kind of answer through every transform --------------------------------------------------------------------


@pytest.mark.parametrize("answer", PARTIAL)
@pytest.mark.parametrize("kind", KINDS)
def test_every_classifier_transform_takes_every_answer(kind: str, answer: AnswerKind, tmp_path: Path) -> None:
    logits, labels = answers(60)
    outputs = as_kind(logits, answer)
    before = outputs.clone()
    fresh = make(kind, answer, tmp_path, floor=0.005)
    fitted = fresh.refit(outputs, labels)
    assert fitted(outputs).shape == (60, len(CLASSES))
    assert torch.isfinite(fitted(outputs)).all()
    assert torch.equal(outputs, before)
    values = json.loads(json.dumps(fitted.to_json(), allow_nan=False))
    assert values["floor"] == 0.005
    again = output_from_json(values, spec=replace(spec_for(kind), answer=answer))
    assert torch.equal(again(outputs), fitted(outputs)), "the floor is the one that it was fitted with"
    assert again.to_json() == fitted.to_json()
    assert torch.isfinite(fitted(torch.zeros(1, SIZE))).all()  # an answer that says nothing
    if fresh.fits:
        assert (fitted(outputs).argmax(1) == labels).float().mean() > 0.5
    single = torch.cat([fitted(row[None]) for row in outputs])
    torch.testing.assert_close(fitted(outputs), single, rtol=1e-5, atol=1e-5)


def test_the_first_prompt_files_have_no_floor(tmp_path: Path) -> None:
    outputs = torch.tensor([[0.5, 0.5, 0.0]])
    values = {"kind": "first-k", "classes": ["a", "b", "c"], "num_outputs": 3, "answer": "probabilities",
              "mapping": [[0], [1], [2]]}  # fmt: skip
    old = output_from_json(values, spec=ModelSpec("api", (8, 8), 3, AnswerKind.PROBABILITIES, floor=0.1))
    torch.testing.assert_close(old(outputs), torch.tensor([[0.5, 0.5, 1e-6]]).log())
    assert old.to_json() == {**values, "floor": 1e-6}


def test_labels_travel_where_answers_are_made_of_them(tmp_path: Path) -> None:
    outputs, labels = answers()
    for answer in AnswerKind:
        kind = "linear"
        values = make(kind, answer, tmp_path).refit(as_kind(outputs, answer), labels).to_json()
        spec = replace(spec_for(kind), answer=answer)
        named = answer in (AnswerKind.TOP_K, AnswerKind.LABEL)
        assert values.get("labels") == (list(spec.labels or ()) if named else None)
        renamed = replace(spec, labels=tuple(reversed(spec.labels or ())))
        if named:
            for other in (renamed, replace(spec, labels=("(other)",), num_outputs=1), replace(spec, labels=None)):
                with pytest.raises(PromptError, match=r"restore\(labels, closed=True\)"):
                    output_from_json(values, spec=other)
        else:
            output_from_json(values, spec=renamed)


# Closed forms ----------------------------------------------------------------------------------------------------


def test_probabilities_have_the_floor_of_the_model() -> None:
    rows = torch.tensor([[0.98, 0.02, 0.0]])
    torch.testing.assert_close(
        to_scores(rows, AnswerKind.PROBABILITIES, 0.005).exp(), torch.tensor([[0.98, 0.02, 0.005]])
    )
    assert to_scores(rows, AnswerKind.LOGITS, 0.005) is rows


@pytest.mark.parametrize(
    ("row", "silent"),
    [
        ([0.7, 0.2, 0, 0, 0, 0], 0.1 / 4),  # an equal share of what is left over
        ([0.4, 0.02, 0, 0, 0, 0], 0.02),  # at most the smallest that was named
        ([0.8, 0.2, 0, 0, 0, 0], 1e-3),  # nothing is left over: the floor
        ([0.9, 0.8, 0, 0, 0, 0], 1e-3),  # independent scores: the floor
        ([0.9995, 0.0005, 0, 0, 0, 0], 5e-4),  # a floor above what was named would turn the order round
        ([0, 0, 0, 0, 0, 0], 1 / 6),
    ],
)
def test_silent_classes_share_what_a_top_k_answer_leaves_over(row: list[float], silent: float) -> None:
    scores = to_scores(torch.tensor([row]), AnswerKind.TOP_K, 1e-3)
    expected = torch.tensor([[value or silent for value in row]])
    torch.testing.assert_close(scores.exp(), expected)


def test_a_full_top_k_answer_is_a_distribution() -> None:
    rows = answers(8)[0].softmax(1)
    assert torch.equal(to_scores(rows, AnswerKind.TOP_K, 1e-6), to_scores(rows, AnswerKind.PROBABILITIES, 1e-6))


@pytest.mark.parametrize("size", [2, 11, 1000])
def test_a_label_is_trusted_every_other_time(size: int) -> None:
    rows = one_hot(torch.tensor([1, 0]), size).float()
    scores = to_scores(rows, AnswerKind.LABEL, 1e-6)
    torch.testing.assert_close(scores[0, 1].exp(), torch.tensor(1 - DOUBT))
    gap = float(scores[0, 1] - scores[0, 0])
    assert gap == pytest.approx(math.log((1 - DOUBT) * max(size - 1, 2) / DOUBT), rel=1e-4)
    assert gap > 0.5  # of two labels, too, the one that came counts
    mean = to_scores(rows.mean(0, keepdim=True), AnswerKind.LABEL, 1e-6)  # the same image, answered twice
    for shares in (scores.exp(), mean.exp()):
        torch.testing.assert_close(shares.sum(1), torch.full((len(shares),), 1.0 if size > 2 else 0.75))
    assert torch.isfinite(to_scores(torch.ones(1, 1), AnswerKind.LABEL, 1e-6)).all()


@pytest.mark.parametrize("kind", ["frequency", "blm", "blm+", "linear", "first-k"])
@pytest.mark.parametrize("size", [11, 1000])
def test_cross_entropy_falls_when_more_labels_are_right(kind: str, size: int) -> None:
    """From all wrong over no class at all to all right; a search that follows the loss gains accuracy."""
    generator = torch.Generator().manual_seed(0)
    spec, labels = ModelSpec("api", (8, 8), size, AnswerKind.LABEL), torch.arange(60) % 3
    labels_read = torch.where(torch.rand(60, generator=generator) < 0.8, labels, (labels + 1) % 3)
    fitted = make_output(kind, classes=CLASSES, spec=spec).refit(one_hot(labels_read, size).float(), labels)

    def loss(sources: Tensor) -> float:
        return float(cross_entropy(fitted(one_hot(sources, size).float()), labels))

    steps = [torch.where(torch.arange(60) < count, labels, (labels + 1) % 3) for count in range(0, 61, 6)]
    losses = [loss(step) for step in steps]
    assert all(later < earlier - 1e-3 for earlier, later in itertools.pairwise(losses))
    nowhere = loss(torch.full((60,), size - 1))
    assert losses[-1] < nowhere < losses[0]
    assert losses[9] < nowhere, "nine right answers in ten are better than none"


def test_a_floor_of_one_in_a_million_would_teach_silence() -> None:
    """The negative control of the test above: what the same loss is without the doubt."""
    labels, size = torch.arange(60) % 3, 1000
    guesses = torch.where(torch.arange(60) < 54, labels, (labels + 1) % 3)
    rows = one_hot(guesses, size).float()
    bare = cross_entropy(rows.clamp_min(1e-12).log()[:, :3], labels)
    doubting = cross_entropy(to_scores(rows, AnswerKind.LABEL, 1e-6)[:, :3], labels)
    assert doubting < math.log(3) < bare


# Rounding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("places", range(7))
def test_decimals_are_counted(places: int) -> None:
    shares = torch.randn(200, 10, generator=torch.Generator().manual_seed(places)).double().softmax(1)
    rounded = torch.round(shares, decimals=places).float()
    assert decimals_of(rounded) == places
    assert floor_of(rounded) == (0.5 * 10.0**-places if places else 1e-6)
    assert decimals_of(shares.float()) is None
    assert floor_of(shares.float()) == 1e-6
    assert decimals_of(rounded + torch.randn(200, 10, generator=torch.Generator().manual_seed(9)) * 1e-5) is None


def test_one_number_that_is_finer_shows_it() -> None:
    rounded = torch.full((100, 4), 0.25)
    assert decimals_of(rounded) == 2
    rounded[7, 1] = 0.2531
    assert decimals_of(rounded) == 4
    rounded[7, 1] = 1e-8
    assert decimals_of(rounded) is None
    assert decimals_of(torch.eye(3)) == 0


# BLM+ ------------------------------------------------------------------------------------------------------------


def test_blm_plus_takes_nothing_from_sources_that_tie_for_the_last_place() -> None:
    probabilities = torch.tensor([[0.6, 0.1, 0.1, 0.1, 0.1], [0.5, 0.3, 0.1, 0.05, 0.05]])
    sums = top_sums(probabilities.log(), torch.tensor([0, 1]), 2, top=3)
    expected = torch.tensor([[0.6, 0.5], [0, 0.3], [0, 0.1], [0, 0], [0, 0]]).double()
    torch.testing.assert_close(sums, expected, rtol=1e-5, atol=1e-6)


def test_blm_plus_reads_one_source_of_a_label_and_five_where_there_are_few(tmp_path: Path) -> None:
    labels = torch.arange(12) % 3
    rows = one_hot(labels + 2, SIZE).float()
    sums = top_sums(to_scores(rows, AnswerKind.LABEL, 1e-6), labels, 3, top=5)
    assert int((sums > 0).sum()) == 3
    plain, plus = (make(kind, AnswerKind.LABEL, tmp_path).refit(rows, labels)(rows) for kind in ("blm", "blm+"))
    assert torch.equal(plain.argmax(1), plus.argmax(1))
    logits, labels = answers(60)
    output = make("blm+", AnswerKind.LOGITS, tmp_path).refit(logits, labels)
    from_all = top_sums(logits, labels, 3, top=5)
    assert int((from_all > 0).sum(0).min()) > 1
    assert (output(logits).argmax(1) == labels).float().mean() > 0.6
