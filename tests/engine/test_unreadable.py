"""Images that cannot be read: a run by answers leaves them out before it pays, and learns from the others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pixprompt.core import DataError
from pixprompt.data import load_data
from pixprompt.engine import TrainConfig, train, wilson
from pixprompt.models import as_model

from ..cli.toy import write_toy
from .test_views_run import through_a_white_frame
from .toy import Closed


@pytest.mark.parametrize("options", [{"views": "auto"}, {"method": "none", "size": 4}], ids=["views", "head alone"])
def test_a_run_by_answers_leaves_them_out(options, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    toy = write_toy(tmp_path)
    root = Path(toy.data.removeprefix("folder:"))
    broken = [next((root / split / "red").glob("*.png")) for split in ("train", "val", "test")]
    for path in broken:
        path.write_bytes(b"no image")
    model = Closed(as_model(through_a_white_frame, image_size=(16, 16), name="framed"))
    config = TrainConfig(model="framed", data=toy.data, budget=300, test_images=18, output="ridge", **options)
    result = train(config, out=tmp_path / "run", model=model, data=load_data(toy.data, seed=0))
    assert model.images == result.queries["images"] <= 300
    assert result.counts["train"] <= len(list((root / "train").rglob("*.png"))) - 1
    assert result.counts["test"] == 17
    for path in broken:
        assert path.name in caplog.text


@pytest.mark.slow
def test_several_prompts_learned_by_gradients_are_scored_on_the_others(tmp_path: Path) -> None:
    toy = write_toy(tmp_path)
    next((Path(toy.data.removeprefix("folder:")) / "test" / "green").glob("*.png")).write_bytes(b"no image")
    net = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten())
    options = {"method": "dvp", "prompts": 2, "template": "padding", "size": 2, "output": "frequency", "epochs": 1}
    result = train(
        TrainConfig(model="net", data=toy.data, **options), out=tmp_path / "run",
        model=as_model(net, image_size=(16, 16), name="net"), data=load_data(toy.data, seed=0),
    )  # fmt: skip
    score = result.accuracy["prompt_float"]
    assert result.counts["test"] == 17
    assert score.ci95 == wilson(round(17 * score.test), 17)


def test_without_any_image_that_can_be_read_nothing_is_asked(tmp_path: Path) -> None:
    toy = write_toy(tmp_path)
    for path in (Path(toy.data.removeprefix("folder:")) / "train").rglob("*.png"):
        path.write_bytes(b"")
    model = Closed(as_model(through_a_white_frame, image_size=(16, 16), name="framed"))
    config = TrainConfig(model="framed", data=toy.data, budget=150, views="auto")
    with pytest.raises(DataError, match="none of the 24 images can be read"):
        train(config, out=tmp_path / "run", model=model, data=load_data(toy.data, seed=0))
    assert model.images == 0
