"""The mapping by name, and when it competes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pixprompt.core import AnswerKind, ConfigError, ModelSpec
from pixprompt.outputs import candidates, make_output

from .toy import CLASSES, NAMES, spec_for

SPEC = spec_for("names")


def mapping(*classes: str, labels: tuple[str, ...] = NAMES) -> object:
    spec = ModelSpec("net", (8, 8), len(labels), labels=labels)
    return make_output("names", classes=classes, spec=spec).to_json()["mapping"]


def test_every_class_reads_its_own_name() -> None:
    output = make_output("names", classes=CLASSES, spec=SPEC)
    outputs = torch.randn(5, len(NAMES), generator=torch.Generator().manual_seed(0))
    assert torch.equal(output(outputs), outputs[:, [3, 1, 6]])
    assert output.refit(outputs, torch.zeros(5, dtype=torch.int64)) is output


def test_synonyms_and_several_labels_of_one_name() -> None:
    assert mapping("CRANE", "wading_bird", labels=("crane", "crane, wading bird")) == [[0], [1]]  # whole ones first
    assert mapping("crane", labels=("crane", "stove", "Crane")) == [[0, 2]]
    assert mapping("crane", labels=("x", "crane, machine", "crane, bird")) == [[1, 2]]


def test_what_cannot_be_found_is_listed() -> None:
    with pytest.raises(ConfigError, match="finds nothing for dog, hat: net has no label of that name"):
        mapping("crane", "dog", "hat", labels=("crane", "dogs", "hatter"))
    with pytest.raises(ConfigError, match="has no known labels"):
        make_output("names", classes=CLASSES, spec=ModelSpec("net", (8, 8), 7))
    with pytest.raises(ConfigError, match="the same label for several classes"):
        mapping("tabby", "tabby cat", labels=("tabby, tabby cat", "x"))


def test_it_competes_where_it_can_be_made() -> None:
    assert candidates(SPEC, False, classes=CLASSES) == ("names", "frequency", "blm", "blm+", "linear")
    assert candidates(SPEC, False, len(CLASSES)) == ("frequency", "blm", "blm+", "linear")  # names are not known here
    assert "names" not in candidates(SPEC, False, classes=(*CLASSES, "unicorn"))
    assert "names" not in candidates(SPEC, False, classes=("cat", "CAT"))
    assert "names" not in candidates(replace(SPEC, labels=None), False, classes=CLASSES)
    assert "names" not in candidates(replace(SPEC, answer=AnswerKind.EMBEDDINGS), True, classes=CLASSES)
