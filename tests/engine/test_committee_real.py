"""A committee on a real classifier that names its five likeliest classes only: it reads more, and so does its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import pixprompt
from pixprompt.core import Access, AnswerKind, Model
from pixprompt.data import load_data
from pixprompt.engine import TrainConfig, evaluate, train
from pixprompt.models import load_model

pytestmark = [pytest.mark.assets, pytest.mark.slow]


class Top5:
    """A local model that gives its five likeliest classes for images of 96x96 pixels."""

    access = Access.SCORES

    def __init__(self, model: Model) -> None:
        self.model = model
        self.spec = replace(model.spec, image_size=(96, 96), answer=AnswerKind.TOP_K, name="top-5")

    @torch.no_grad()
    def __call__(self, images: torch.Tensor, /) -> torch.Tensor:
        shares = self.model.answer(self.model.normalize(images)).softmax(1)
        values, indices = shares.topk(5, dim=1)
        return torch.zeros_like(shares).scatter(1, indices, values)


def test_a_committee_reads_digits_off_five_labels(assets: Path, tmp_path: Path) -> None:
    weights = assets / "weights" / "mobilenet_v2.safetensors"
    model = Top5(load_model("torchvision:mobilenet_v2/IMAGENET1K_V1", weights=weights))
    data = load_data("digits", seed=0, shots=50)
    config = TrainConfig(
        model="top-5", data="digits", seed=0, shots=50, budget=4000, test_images=100, views="4", cascade="auto",
        output="ridge", workers=0,
    )  # fmt: skip
    result = train(config, out=tmp_path / "run", model=model, data=data)
    assert result.best == "prompt"
    assert result.queries["images"] <= 4000
    only, remaining = (result.accuracy[rung].test for rung in ("output_only", "prompt_png"))
    assert remaining > only + 0.05
    few = replace(data, val=data.val.subset(range(10)), test=data.test.subset(range(60)))
    again = evaluate(tmp_path / "run/prompt.png", model=model, data=few)
    with pixprompt.deploy(tmp_path / "run/prompt.png", model=model) as deployed:
        answers = deployed([few.test.open(index) for index in range(60)])
    hits = [each.label == data.classes[label] for each, label in zip(answers, few.test.labels, strict=True)]
    assert again.accuracy["prompt_png"].test == pytest.approx(sum(hits) / len(hits))
    assert 1 <= again.queries["per_prediction"] <= 4
