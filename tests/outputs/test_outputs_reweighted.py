"""DVP's output: texts divided among prompts, their scores and the matrix by hand."""

from __future__ import annotations

import json

import pytest
import torch

from pixprompt.core import AnswerKind, ModelSpec
from pixprompt.outputs import make_output

SPEC = ModelSpec("toy", (8, 8), 2, AnswerKind.EMBEDDINGS)
TEXTS = {"east": (1.0, 0.0), "nearly east": (0.96, 0.28), "north": (0.0, 1.0), "nearly north": (0.28, 0.96)}


def make(tmp_path, views: int = 2, **options):
    path = tmp_path / "attributes.json"
    path.write_text(json.dumps({"a": ["east", "north"], "b": ["nearly north", "nearly east"]}))
    return make_output(
        "reweighted", classes=("a", "b"), spec=SPEC, mapping_file=path, logit_scale=2.0, views=views,
        encode_text=lambda texts: torch.tensor([TEXTS[text] for text in texts]), **options,
    )  # fmt: skip


def test_similar_texts_share_a_prompt_and_each_is_read_under_its_own(tmp_path) -> None:
    transform = make(tmp_path, top=4)
    assert transform.texts == ("east", "north", "nearly north", "nearly east")
    east, north, nearly_north, nearly_east = transform.groups
    assert (east, north) == (nearly_east, nearly_north)
    assert {east, north} == {0, 1}
    under_east, under_north = torch.tensor([0.6, 0.8]), torch.tensor([0.8, 0.6])
    pages = [under_east, under_north] if east == 0 else [under_north, under_east]
    answers = torch.cat(pages).unsqueeze(0).repeat(4, 1)
    scores = torch.tensor([0.6, 0.6, 0.8 * 0.28 + 0.6 * 0.96, 0.6 * 0.96 + 0.8 * 0.28]) * 2
    fitted = transform.refit(answers, torch.tensor([0, 0, 0, 1]))
    # every image has the same probabilities p of the four texts: 3 p for a and 1 p for b, over 4 p + 1
    share = scores.softmax(0)
    column = share / (4 * share + 1)
    expected = (scores * column / column.sum()).sum()
    assert fitted(answers)[0].tolist() == pytest.approx([float(expected)] * 2, abs=1e-5)


def test_texts_that_speak_for_a_class_are_found(tmp_path) -> None:
    """Images near "east" are of class b, whatever the file says of it."""
    answers = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(10, 1)
    fitted = make(tmp_path, views=1, top=1).refit(answers, torch.tensor([1, 0]).repeat(10))
    assert fitted(answers[:2]).argmax(1).tolist() == [1, 0]
    assert make(tmp_path, views=1).groups == (0, 0, 0, 0)
