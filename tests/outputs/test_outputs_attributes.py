"""Attribute texts: the nearest of each kind by hand, and the file they come from."""

from __future__ import annotations

import json

import pytest
import torch

from pixprompt.core import AnswerKind, ConfigError, ModelSpec, PromptError
from pixprompt.outputs import SavedOutput, make_output

SPEC = ModelSpec("toy", (8, 8), 2, AnswerKind.EMBEDDINGS)
TEXTS = {"east": (1.0, 0.0), "north": (0.0, 1.0), "both": (3.0, 4.0), "west": (-1.0, 0.0), "south": (0.0, -1.0)}
FILE = {
    "a": {"descriptive": ["east", "north", "both", "west"], "distinctive": ["south"]},
    "b": ["north", "west"],
}


def make(tmp_path, content=None, **options):
    path = tmp_path / "attributes.json"
    path.write_text(json.dumps(FILE if content is None else content))
    return make_output(
        "attributes", classes=("a", "b"), spec=SPEC, mapping_file=path, logit_scale=10.0,
        encode_text=lambda texts: torch.tensor([TEXTS[text] for text in texts]), **options,
    )  # fmt: skip


def test_logits_are_the_means_of_the_nearest_of_each_kind(tmp_path) -> None:
    """An image at (0.8, 0.6): cosines 0.8, 0.6, 0.96, -0.8, -0.6 to east, north, both, west, south."""
    image = torch.tensor([[0.8, 0.6]])
    two = [10 * ((0.96 + 0.8) / 2 + -0.6) / 2, 10 * ((0.6 - 0.8) / 2 * 2) / 2]
    assert make(tmp_path, nearest=2)(image).tolist()[0] == pytest.approx(two, abs=1e-5)
    three = [10 * ((0.96 + 0.8 + 0.6) / 3 + -0.6) / 2, two[1]]
    assert make(tmp_path)(image).tolist()[0] == pytest.approx(three, abs=1e-5)


def test_each_image_has_nearest_texts_of_its_own_so_no_table_holds_it(tmp_path) -> None:
    transform = make(tmp_path, nearest=1)
    east, north = transform(torch.eye(2))
    assert [east[0], north[0]] == pytest.approx([10 * (1 + 0) / 2, 10 * (1 - 1) / 2])
    with pytest.raises(PromptError, match="nearest texts of each image"):
        SavedOutput(transform.to_json(), SPEC).linear_form()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"a": ["east"]}, "'b' is missing"),
        ({"a": ["east"], "b": {"descriptive": ["north"]}}, "'distinctive' is missing"),
        ({"a": ["east"], "b": []}, "attributes of 'b' are lists"),
        ({"a": "east", "b": ["north"]}, "attributes of 'a' are lists"),
        ([], "holds no attributes"),
    ],
)
def test_a_file_that_does_not_say_it_is_named(tmp_path, content, reason) -> None:
    with pytest.raises(ConfigError, match=reason):
        make(tmp_path, content)


def test_without_a_file_or_a_text_encoder_it_says_what_is_missing(tmp_path) -> None:
    with pytest.raises(ConfigError, match="--mapping FILE"):
        make_output("attributes", classes=("a", "b"), spec=SPEC, encode_text=lambda texts: torch.eye(2))
    path = tmp_path / "attributes.json"
    path.write_text(json.dumps(FILE))
    with pytest.raises(ConfigError, match="text encoder"):
        make_output("attributes", classes=("a", "b"), spec=SPEC, mapping_file=path)
