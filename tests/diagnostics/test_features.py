"""Extractors: what they take and refuse, what they are called, and which weights they stand for."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pixprompt.canvas import Canvas
from pixprompt.core import AnswerKind, ModelSpec, RangeError, ShapeError
from pixprompt.diagnostics.features.extract import Extractor, as_levels, model_answers, open_clip, weights_sha256
from pixprompt.models import TorchModel

from .toy import photo_set, pictures, toy_extractor


@cache
def clip(folder: Path) -> Extractor:
    return open_clip(f"open_clip:local-dir:{folder}")


def test_bytes_and_unit_floats_are_the_same_image() -> None:
    canvases = pictures(3, 1)
    floats = canvases.astype(np.float64) / 255
    np.testing.assert_allclose(toy_extractor()(floats), toy_extractor()(canvases), rtol=1e-5)
    np.testing.assert_allclose(toy_extractor()(list(canvases)), toy_extractor()(canvases))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.full((4, 4, 3), -0.5), r"min -0\.5, max -0\.5"),
        (np.linspace(-1, 1, 48).reshape(4, 4, 3), r"min -1, max 1"),
        (np.linspace(0, 255, 48).reshape(4, 4, 3), r"min 0, max 255"),
        (np.full((4, 4, 3), np.nan), "nan"),
        (np.ones((4, 4, 3), np.int64), "int64"),
    ],
)
def test_other_ranges_are_refused_with_their_extremes(wrong: np.ndarray, message: str) -> None:
    with pytest.raises(RangeError, match=message):
        toy_extractor()(wrong[None])
    with pytest.raises(RangeError, match="expected uint8, or floats in"):
        as_levels(wrong)


@pytest.mark.parametrize("shape", [(3, 4, 4), (4, 4), (4, 4, 4), (0, 4, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="expected canvases"):
        toy_extractor()([np.zeros(shape, np.uint8)])


def test_answers_of_a_model_are_features_of_its_own_canvas() -> None:
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    spec = ModelSpec("mean", (16, 16), 3, AnswerKind.LOGITS, resample="bilinear", crop_pct=0.5)
    extractor = model_answers(TorchModel(net, spec))
    canvases = pictures(4, 1)
    np.testing.assert_allclose(extractor(canvases), canvases.mean((1, 2)) / 255, rtol=1e-5)
    assert extractor.canvas == Canvas((16, 16), resample="bilinear", crop_pct=0.5)
    assert (extractor.name, extractor.family, extractor.dim) == ("mean", "model", 3)


def test_a_digest_for_each_weight_and_setting() -> None:
    nets = [nn.Linear(3, 2) for _ in range(2)]
    for value, net in enumerate(nets):
        nn.init.constant_(net.weight, value)
        nn.init.zeros_(net.bias)
    assert weights_sha256(nets[0]) != weights_sha256(nets[1])
    nets[0].weight.data = nets[1].weight.data.T.contiguous().T  # another memory layout, the same numbers
    assert weights_sha256(nets[0]) == weights_sha256(nets[1])

    def name_with(name: str = "n", sha: str = "s", canvas: Canvas | None = None, resize: str = "r") -> str:
        return Extractor(name, "model", sha, 3, canvas, resize, torch.stack).digest  # type: ignore[arg-type]

    results = [
        name_with(),
        name_with(name="m"),
        name_with(sha="t"),
        name_with(canvas=Canvas((4, 4))),
        name_with(resize="q"),
    ]
    assert len(set(results)) == 5
    assert name_with() == name_with()
    assert name_with(sha="") != name_with(sha="")  # unseen weights may change between two objects


@pytest.mark.assets
def test_clip_features_are_unit_vectors_of_the_image_tower(assets: Path) -> None:
    extractor = clip(assets / "weights/mini-clip-vit-ti16")
    assert extractor.family == "clip"
    assert extractor.canvas is not None
    images = photo_set(assets, "flowers5/test", 3)
    canvases = np.stack([extractor.canvas.make(images.open(index)) for index in range(3)])
    features = extractor(canvases)
    assert features.shape == (3, extractor.dim)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(extractor(canvases[1:2])[0], features[1], rtol=1e-3, atol=1e-5)
    assert len(extractor.sha256) == 64
    assert {"extractor", "weights_sha256", "resize", "dtype"} == set(extractor.to_json())
