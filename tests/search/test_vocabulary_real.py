"""A small dual encoder, opaque, that reads digits by words that have nothing to do with digits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from pixprompt.canvas import Canvas
from pixprompt.core import AnswerKind, ModelSpec
from pixprompt.data import ImageSet, load_data, make_canvases
from pixprompt.engine.answers import batches, to_images
from pixprompt.models import DualEncoder, load_model
from pixprompt.outputs import make_output
from pixprompt.search import COMMON_NOUNS, widened_labels

pytestmark = [pytest.mark.assets, pytest.mark.slow]


def test_a_wider_vocabulary_reads_digits_at_the_same_number_of_queries(assets: Path) -> None:
    model = load_model(f"open_clip:local-dir:{assets / 'weights' / 'mini-clip-vit-ti16'}")
    assert isinstance(model, DualEncoder)
    data = load_data("digits", seed=0)
    train, test = (torch.from_numpy(split.labels.copy()) for split in (data.train, data.test))
    embedded = [
        _embeddings(model, split.subset(range(count))) for split, count in ((data.train, 300), (data.test, 200))
    ]
    accuracy = {}
    for words in ((), COMMON_NOUNS[:100]):
        labels = widened_labels(data.classes, words)
        texts = model.encode_text([f"This is a photo of a {label}" for label in labels])
        answers = [(model.logit_scale * each @ texts.T).softmax(1) for each in embedded]
        spec = ModelSpec("zero-shot", (224, 224), len(labels), AnswerKind.PROBABILITIES, labels)
        head = make_output("linear", classes=data.classes, spec=spec).refit(answers[0], train[:300])
        accuracy[len(words)] = float((head(answers[1]).argmax(1) == test[:200]).double().mean())
    assert accuracy[100] > accuracy[0] + 0.15


def _embeddings(model: DualEncoder, images: ImageSet) -> Tensor:
    canvases = make_canvases(images, Canvas((224, 224)))
    with torch.no_grad():
        return torch.cat([model(to_images(canvases.pixels[part])) for part in batches(len(images))])
