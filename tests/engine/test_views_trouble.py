"""What can go wrong with views: turns that change what an image means, a model that changes meanwhile, few queries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import pixprompt
from pixprompt.core import ConfigError
from pixprompt.data import Data
from pixprompt.engine import TrainConfig, train
from pixprompt.engine.parts import build
from pixprompt.engine.run import plan
from pixprompt.models import as_model

from .conftest import CLASSES, pictures
from .test_views_run import through_a_white_frame
from .toy import Closed


def only_turned(images: torch.Tensor) -> torch.Tensor:
    """Speaks about colours, but only of images whose bright column is on the right."""
    speaks = (images[:, :, :, -2:].mean((1, 2, 3)) > 0.9).float()
    red, green, blue = images[:, :, 2:-2, 2:-2].mean((2, 3)).unbind(1)
    return torch.stack([red - green, green - red, blue], 1) * 30 * speaks[:, None]


def marked(count: int, seed: int, prefix: str) -> pixprompt.ImageSet:
    pixels, labels = pictures(count, seed)
    pixels[:, :, :3] = 255
    return pixprompt.from_arrays(pixels, labels, prefix=prefix)


def test_views_that_turn_the_image_are_named_with_a_warning(tmp_path: Path) -> None:
    data = Data("marked", CLASSES, train=marked(60, 1, "train"), val=marked(30, 2, "val"), test=marked(30, 3, "test"))
    model = Closed(as_model(only_turned, image_size=(16, 16), name="turned"))
    config = TrainConfig(model="turned", data="marked", budget=900, views="1", test_images=30, output="ridge")
    result = train(config, out=tmp_path / "run", model=model, data=data)
    assert result.best == "prompt"
    (view,) = result.views["views"]
    (warning,) = [note for note in result.notes if "turn the image" in note]
    assert view in warning
    assert "digits and text" in warning


class Changing(Closed):
    """Its answers move after so many images."""

    def __call__(self, images):
        outputs = super().__call__(images)
        return outputs + (torch.tensor([3.0, -2.0, 1.0]) if self.images > 150 else 0.0)


@pytest.mark.parametrize(("changing", "reason"), [(Changing, True), (Closed, False)])
def test_answers_that_drift_between_views_are_told(changing, reason, data: Data, tmp_path: Path) -> None:
    model = changing(as_model(through_a_white_frame, image_size=(16, 16), name="framed"))
    config = TrainConfig(model="framed", data="toy", budget=500, views="auto", predictions=50, output="ridge")
    result = train(config, out=tmp_path / "run", model=model, data=data)
    assert any("answers have drifted" in note for note in result.notes) == reason


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"views": "40", "budget": 100_000}, "only .* views are known"),
        ({"test_images": 45, "budget": 200}, "Test fewer"),
        ({"search_anyway": True, "budget": 10}, "too few for any search"),
    ],
)
def test_a_budget_that_is_too_small_is_refused_before_it_is_spent(options, words, data: Data) -> None:
    model = Closed(as_model(through_a_white_frame, image_size=(16, 16), name="framed"))
    config = TrainConfig(model="framed", data="toy", **{"views": "auto", **options})
    with pytest.raises(ConfigError, match=words):
        plan(build(config, model=model, data=data))
    assert model.images == 0


def test_a_small_budget_says_which_would_do(data: Data) -> None:
    model = Closed(as_model(through_a_white_frame, image_size=(16, 16), name="framed"))
    few = replace(data, train=data.train.subset(range(2)))
    for each, words in ((data, "needs a budget of"), (few, "labelled images are too few")):
        config = TrainConfig(model="framed", data="toy", budget=10, views="auto")
        (line,) = plan(build(config, model=model, data=each))["outlook"]
        assert words in line
    assert np.asarray(few.train.labels).tolist() == [0, 1]
