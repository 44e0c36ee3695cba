"""Text prompts, their templates, and the semantic mapping."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pixprompt.core import AnswerKind, ConfigError, ModelError, ModelSpec, ShapeError
from pixprompt.outputs import make_output, output_from_json, pretty, texts_for, words_for
from pixprompt.outputs.texts.templates import DEFAULT, ENSEMBLE, fill

WIDTH = 16
SPEC = ModelSpec("clip", (8, 8), WIDTH, AnswerKind.EMBEDDINGS)


class CountingEncoder:
    """Keeps every text it was asked for; the embedding of a text depends on nothing but the text."""

    def __init__(self, scale: float = 1.0) -> None:
        self.texts: list[str] = []
        self.calls = 0
        self.scale = scale

    def __call__(self, texts: Sequence[str]) -> Tensor:
        self.calls += 1
        self.texts += texts
        return torch.stack([embed(text) for text in texts]) * self.scale


def embed(text: str) -> Tensor:
    row = np.random.default_rng(list(text.encode())).normal(size=WIDTH)
    return torch.tensor(row / np.linalg.norm(row), dtype=torch.float32)


def test_texts_are_encoded_once_and_never_by_a_call() -> None:
    encoder = CountingEncoder()
    output = make_output("text", classes=("Sea_Horse", "dog"), spec=SPEC, texts=("a {}", "one {}"), encode_text=encoder)
    assert encoder.texts == ["a sea horse", "one sea horse", "a dog", "one dog"]
    assert encoder.calls == 1
    images = normalize(torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(0)), dim=1)
    for _ in range(3):
        output(images)
        output.refit(images, torch.zeros(5, dtype=torch.int64))
    again = output_from_json(output.to_json(), spec=SPEC, encode_text=encoder)
    assert torch.equal(again(images), output(images))
    assert encoder.calls == 1


def test_logits_are_scaled_cosines_to_the_text() -> None:
    output = make_output("text", classes=("cat", "dog"), spec=SPEC, encode_text=CountingEncoder(), logit_scale=20)
    images = normalize(torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(0)), dim=1)
    texts = torch.stack([embed("This is a photo of a cat"), embed("This is a photo of a dog")])
    torch.testing.assert_close(output(images), 20 * images @ texts.T)


def test_an_ensemble_is_the_renormalised_mean_of_unit_embeddings() -> None:
    """An encoder that does not give unit length must not let a loud template drown the others."""

    def loud(texts: Sequence[str]) -> Tensor:
        return torch.stack([embed(text) * (50 if text.startswith("loud") else 1) for text in texts])

    output = make_output(
        "text", classes=("cat", "dog"), spec=SPEC, texts=("loud {}", "quiet {}"), encode_text=loud, logit_scale=1
    )
    images = torch.eye(WIDTH)
    expected = torch.stack([normalize(embed(f"loud {c}") + embed(f"quiet {c}"), dim=0) for c in ("cat", "dog")])
    torch.testing.assert_close(output(images), expected.T)
    drowned = torch.stack([normalize(50 * embed(f"loud {c}") + embed(f"quiet {c}"), dim=0) for c in ("cat", "dog")])
    assert not torch.allclose(output(images), drowned.T, atol=1e-2)
    torch.testing.assert_close(output(images).norm(dim=0), torch.ones(2))


def test_words_stand_for_the_classes() -> None:
    encoder = CountingEncoder()
    output = make_output("text", classes=("0", "1"), spec=SPEC, words=("calm", "wild"), encode_text=encoder)
    assert encoder.texts == ["This is a photo of a calm", "This is a photo of a wild"]
    assert output.classes == ("0", "1")
    with pytest.raises(ShapeError, match="2 words"):
        make_output("text", classes=("0", "1"), spec=SPEC, words=("calm",), encode_text=encoder)


def test_a_description_without_embeddings_is_encoded_again() -> None:
    encoder = CountingEncoder()
    output = make_output("text", classes=("cat", "dog"), spec=SPEC, texts=("my {}",), encode_text=encoder)
    values = {key: value for key, value in output.to_json().items() if key != "embeddings"}
    again = output_from_json(values, spec=SPEC, encode_text=encoder, logit_scale=100.0)
    assert torch.equal(again(torch.eye(WIDTH)), output(torch.eye(WIDTH)))
    assert encoder.calls == 2


def test_encoders_that_answer_nonsense_are_refused() -> None:
    def make(encode: object) -> None:
        make_output("text", classes=("cat", "dog"), spec=SPEC, encode_text=encode)  # type: ignore[arg-type]

    with pytest.raises(ModelError, match="not finite"):
        make(lambda texts: torch.full((len(texts), WIDTH), float("nan")))
    with pytest.raises(ShapeError, match="2 texts"):
        make(lambda texts: torch.ones(1, WIDTH))
    with pytest.raises(ShapeError, match="expected text embeddings"):
        make(lambda texts: torch.ones(len(texts), WIDTH + 1))
    with pytest.raises(ConfigError, match="text encoder"):
        make(None)
    with pytest.raises(ConfigError, match="logit scale"):
        make_output("text", classes=("cat",), spec=SPEC, encode_text=CountingEncoder(), logit_scale=-1)


def test_text_does_not_go_with_a_classifier() -> None:
    with pytest.raises(ConfigError, match=r"'text' does not go with logits.*frequency"):
        make_output("text", classes=("cat",), spec=ModelSpec("net", (8, 8), 5), encode_text=CountingEncoder())


# Templates -------------------------------------------------------------------------------------------------------


def test_class_names_read_as_words() -> None:
    assert pretty("Sea_Horse-RED") == "sea horse red"
    assert fill(("a {}", "{} b"), ("x{y}", "z")) == ["a x{y}", "x{y} b", "a z", "z b"]


@pytest.mark.parametrize("name", ["clevr", "clevr-count", "CLEVR", "folder:/images/clevr/", "csv:/lists/clevr.csv"])
def test_clevr_has_the_words_of_the_paper(name: str) -> None:
    assert texts_for(name) == ("This is a photo of {} objects",)
    assert texts_for(name, "default") == DEFAULT
    classes = [str(k) for k in range(3, 11)]
    expected = ("three", "four", "five", "six", "seven", "eight", "nine", "ten")
    assert words_for(name, classes) == expected
    assert words_for(name, [f"count_{k}" for k in range(3, 11)], "paper") == expected
    assert words_for(name, expected) == expected
    assert words_for(name, classes, "default") == tuple(classes)


def test_camelyon_has_the_words_of_the_paper() -> None:
    assert texts_for("camelyon17") == ("a tissue region {} tumor",)
    assert words_for("camelyon17", ("normal", "Tumor")) == ("not containing", "containing")
    assert words_for("camelyon17", ("0", "1")) == ("not containing", "containing")
    assert words_for("camelyon17", ("not containing", "containing")) == ("not containing", "containing")


def test_other_data_have_the_default_template() -> None:
    assert texts_for("digits") == texts_for("digits", "paper") == ("This is a photo of a {}",)
    assert words_for("digits", ("Sea_Horse", "10")) == ("sea horse", "10")
    assert texts_for("digits", "ensemble") == ENSEMBLE
    assert len(set(ENSEMBLE)) == 10
    assert all(template.count("{}") == 1 for template in ENSEMBLE)


def test_templates_of_ones_own(tmp_path: Path) -> None:
    assert texts_for("digits", "one {} here") == ("one {} here",)
    assert texts_for("digits", "one {} here | {}") == ("one {} here", "{}")
    path = tmp_path / "templates.txt"
    path.write_text("a scan of {}\n\n  a print of {} \n", encoding="utf-8")
    assert texts_for("digits", str(path)) == ("a scan of {}", "a print of {}")


@pytest.mark.parametrize("choice", ["{} and {}", "{0}", "a {} | no place", "a {} |", "{class}", "{{}}"])
def test_bad_templates_are_refused(choice: str) -> None:
    with pytest.raises(ConfigError, match=r"exactly one \{\}"):
        texts_for("digits", choice)


def test_unknown_choices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'ensemble'"):
        texts_for("digits", "ensembel")
    with pytest.raises(ConfigError, match="no template"):
        texts_for("digits", "a photo without a place")
    with pytest.raises(ConfigError, match="no readable file"):
        texts_for("digits", str(tmp_path))
    empty = tmp_path / "empty.txt"
    empty.write_text("\n")
    with pytest.raises(ConfigError, match="at least one"):
        texts_for("digits", str(empty))
    with pytest.raises(ConfigError, match="exactly one"):
        make_output("text", classes=("cat",), spec=SPEC, texts=("cat",), encode_text=CountingEncoder())


# Semantic --------------------------------------------------------------------------------------------------------

MEANINGS = {"pup": (1.0, 0.1, 0.0), "hound": (1.0, 0.0, 0.0), "puppy": (0.9, 0.4, 0.0), "kitten": (0.0, 1.0, 0.1),
            "cat": (0.0, 1.0, 0.0), "stove": (0.0, 0.0, 1.0)}  # fmt: skip


def meaning(texts: Sequence[str]) -> Tensor:
    return torch.tensor([MEANINGS[text.removeprefix("a ")] for text in texts])


def test_semantic_takes_the_nearest_name_once_each() -> None:
    labels = ("Stove, range", "Hound, pup", "kitten", "puppy")
    spec = ModelSpec("net", (8, 8), 4, labels=labels)
    output = make_output("semantic", classes=("cat", "pup"), spec=spec, texts=("a {}",), encode_text=meaning)
    assert output.to_json()["mapping"] == [[2], [1]]
    # both classes are nearest to the hound; the nearer one gets it, the other the next best
    rivals = make_output("semantic", classes=("puppy", "pup"), spec=spec, texts=("a {}",), encode_text=meaning)
    assert rivals.to_json()["mapping"] == [[3], [1]]
    spec = ModelSpec("net", (8, 8), 3, labels=labels[:3])
    crowded = make_output("semantic", classes=("puppy", "pup"), spec=spec, texts=("a {}",), encode_text=meaning)
    assert crowded.to_json()["mapping"] == [[2], [1]]


def test_semantic_says_what_it_lacks() -> None:
    unnamed = ModelSpec("net", (8, 8), 4)
    with pytest.raises(ConfigError, match=r"no known labels.*'given'"):
        make_output("semantic", classes=("cat",), spec=unnamed, encode_text=meaning)
    named = ModelSpec("net", (8, 8), 1, labels=("cat",))
    with pytest.raises(ConfigError, match="give encode_text"):
        make_output("semantic", classes=("cat",), spec=named)
