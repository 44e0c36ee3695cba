"""The tables of a page: which sources a class reads, what a diagnosis says, numbers in words."""

from __future__ import annotations

import pytest
import torch

from pixprompt.core import AnswerKind, ModelSpec, PixpromptError
from pixprompt.outputs import make_output
from pixprompt.report.page.diagnosis import describe_diagnosis
from pixprompt.report.page.environment import count, duration, number, percent, points
from pixprompt.report.page.mapping import describe_output
from pixprompt.report.page.sections import render

from .html_check import Node, read

CLASSES = ("a", "<b>", "c")
SOURCES = tuple(f"thing {index}, synonym" for index in range(8))
SPEC = ModelSpec("m", (8, 8), 8, labels=SOURCES)


def rows(kind: str) -> list[list[str]]:
    return [[cell.words for cell in row.all("th", "td")] for row in read(kind).all("tr")][1:]


def mapping_section(output: dict, sources: tuple[str, ...] | None) -> str:
    return render("mapping", lambda: describe_output(output, sources))


def diagnosis_section(values: dict) -> str:
    return render("diagnostics", lambda: describe_diagnosis(values))


def answers() -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.arange(60) % 3
    outputs = torch.randn(60, 8, generator=torch.Generator().manual_seed(0))
    outputs[torch.arange(60), 2 * labels] += 4
    return outputs, labels


# Mapping -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["frequency", "blm", "linear"])
def test_the_sources_that_a_class_reads_lead_its_row(kind: str) -> None:
    section = mapping_section(make_output(kind, classes=CLASSES, spec=SPEC).refit(*answers()).to_json(), SOURCES)
    table = rows(section)
    assert [row[0] for row in table] == list(CLASSES)
    assert [row[1].split(",")[0].rpartition(" ")[0] or row[1] for row in table] == (
        ["thing 0", "thing 2", "thing 4"] if kind == "frequency" else [f"thing {n} ({n})" for n in (0, 2, 4)]
    )
    assert f"“{kind}”" in read(section).words


def test_weights_are_those_of_the_head_and_sorted() -> None:
    head = make_output("linear", classes=CLASSES, spec=SPEC).refit(*answers())
    table = rows(mapping_section(head.to_json(), SOURCES))[1][1]
    top = head.weight[:, 1].topk(5)  # type: ignore[attr-defined]
    pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
    assert table == ", ".join(f"thing {index} ({index}) {value:+.3f}" for index, value in pairs if value > 0)


def test_a_class_without_examples_and_sources_without_names() -> None:
    outputs, labels = answers()
    mask = labels != 1
    head = make_output("linear", classes=CLASSES, spec=SPEC).refit(outputs[mask], labels[mask])
    table = rows(mapping_section(head.to_json(), None))
    assert table[1][1] == "had no examples; never chosen"
    assert table[2][1].startswith("output 4 +")


def test_texts_are_filled_in() -> None:
    spec = ModelSpec("clip", (8, 8), 4, AnswerKind.EMBEDDINGS)
    texts = tuple(f"{word} of a {{}}" for word in ("photo", "drawing", "print", "scan"))
    output = make_output(
        "text",
        classes=CLASSES,
        spec=spec,
        texts=texts,
        encode_text=lambda transform: torch.eye(4).repeat(3, 1)[: len(transform)],
    )
    table = rows(mapping_section(output.to_json(), None))
    assert table[0][1] == "photo of a a; drawing of a a; print of a a … and 1 more"
    assert table[1] == ["<b>", "photo of a <b>; drawing of a <b>; print of a <b> … and 1 more"]


def test_unknown_and_damaged_transforms() -> None:
    assert "has no table" in read(mapping_section({"kind": "new", "classes": []}, None)).words
    with pytest.raises(PixpromptError, match="cannot be shown"):
        describe_output({"kind": "frequency", "classes": ["a"], "mapping": [[0], [1]]}, None)
    with pytest.raises(PixpromptError, match="cannot be shown"):
        describe_output({"kind": "frequency", "mapping": [[0]]}, None)


# Diagnosis -----------------------------------------------------------------------------------------------------------

SEEN = {"extractor": "Inception-2015", "dtype": "float32", "resize": "bilinear", "n": 1797, "n_reference": 1000}
DIAGNOSIS = {
    "schema": 1,
    "data": {"name": "digits", "n": 1797},
    "reference": {"name": "photos", "n": 1000},
    "extractor": "Inception-2015",
    "resize": "bilinear",
    "headline": "kid",
    "fid": {"value": 212.3456, "ci95": [208.125, 217.25], "floor": 33.25, "note": "biased below 2048 images", **SEEN},
    "kid": {"value": 0.1234, "ci95": [-0.01, 0.2], "floor": 0.001, **SEEN},
    "cmmd": None,
    "lpips": {"mean": 0.2214, "ci95": [0.21, 0.23], "pairs": 2000, "images": 1797, "extractor": "AlexNet"},
    "coverage": {"covered": 0.25, "within": 0.125},
    "reasons": {"cmmd": "no CLIP extractor was named"},
    "model": {"model": "m", "images": 40, "accuracy": 0.25, "ci95": [0.1, 0.4], "head": None},
    "advice": {
        **{"verdict": "try", "queries": 5000, "expected_gain": 12.5, "interval": [-2.0, 30.0], "level": 0.9},
        "reasons": ["far <away>"],
    },
}


def test_every_number_stands_with_what_it_was_taken_in() -> None:
    section = diagnosis_section(DIAGNOSIS)
    words = "Inception-2015; float32; bilinear; 1 797 against 1 000 images"
    near = "1 797 against 1 000 images; of the data 0.125 lies near the reference"
    assert rows(section)[:5] == [
        ["FID", "212.3", "208.1 to 217.2", "33.25", f"{words}; biased below 2048 images"],
        ["KID", "0.1234", "−0.01 to 0.2", "0.001", words],
        ["CMMD", "–", "–", "–", "not measured: no CLIP extractor was named"],
        ["LPIPS diversity", "0.2214", "0.21 to 0.23", "–", "AlexNet; 2 000 pairs of 1 797 images"],
        ["reference near the data", "0.25", "–", "–", near],
    ]
    assert rows(section)[6:] == [["no prompt", "0.25", "0.1 to 0.4"]]
    words = read(section).words
    for part in (
        "digits (1 797 images) against photos (1 000 images)",
        "the number to read is KID",
        "on 40 labelled images",
        "Advice: try with 5 000 queries.",
        "Expected gain 12.5 points over no prompt, 90% interval −2 to 30.",
    ):
        assert part in words
    assert [node.words for node in read(section).all("li")] == ["far <away>"]


@pytest.mark.parametrize(
    "values", [{}, {"fid": {}}, {"advice": {}}, {"data": "x", "kid": 3, "advice": {"reasons": "x"}}]
)
def test_a_diagnosis_of_another_form_is_shown_as_far_as_it_goes(values: dict) -> None:
    assert isinstance(read(diagnosis_section(values)), Node)


# Numbers in words ----------------------------------------------------------------------------------------------------


def test_numbers_in_words() -> None:
    assert (percent(0.1234), percent(None), points(-0.0234), points(0.1)) == ("12.3%", "–", "−2.3", "+10.0")
    assert (count(1234567), count(None)) == ("1\u202f234\u202f567", "–")
    assert (number(0.00012345, 3), number("x", 3), number(None, 3), number(True, 3)) == ("0.000123", "x", "–", "True")
    assert (number(1e6, 4), number(float("nan"), 4), number(-0.5, 3)) == ("1e+06", "nan", "−0.5")
    assert (duration(59.4), duration(61), duration(7322)) == ("59 s", "1 min 01 s", "2 h 02 min")
