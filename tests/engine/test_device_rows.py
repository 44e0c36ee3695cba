"""Canvases that stay on the device where the model works."""

import numpy as np
import pytest
import torch

from pixprompt.canvas import Canvas
from pixprompt.data import make_canvases
from pixprompt.engine import TrainConfig, train
from pixprompt.engine.inputs import device_rows
from pixprompt.engine.inputs.device_rows import on_device

from .toy import numbers


@pytest.fixture
def canvases(model, data, tmp_path):
    return make_canvases(data.train, Canvas.for_model(model.spec), cache=tmp_path)


@pytest.fixture
def room(monkeypatch):
    """Says how many bytes are free on the CPU, as if it were an accelerator."""

    def say(count: int) -> list[str]:
        asked: list[str] = []
        monkeypatch.setattr(device_rows, "free_bytes", lambda device: asked.append(device) or count)
        return asked

    return say


@pytest.mark.parametrize("chosen", [slice(2, 5), [3, 0, 3], np.array([1, 4])], ids=["slice", "list", "array"])
def test_images_are_those_of_the_canvases(chosen, canvases, room) -> None:
    room(2**30)
    held = on_device(canvases, "cpu").pixels
    assert held is not canvases.pixels
    assert torch.equal(held.images(chosen), canvases.pixels.images(chosen))
    assert np.array_equal(held[chosen], canvases.pixels[chosen])
    assert held.images(chosen).dtype == torch.float32


def test_they_take_a_quarter_of_what_is_free_or_stay_where_they_are(canvases, room) -> None:
    size = int(np.prod(canvases.pixels.shape))
    room(4 * size - 1)
    assert on_device(canvases, "cpu") is canvases
    room(4 * size)
    assert on_device(canvases, "cpu") is not canvases


def test_the_cpu_reads_its_own(canvases) -> None:
    assert on_device(canvases, "cpu") is canvases


def test_a_run_is_the_same_with_them(model, data, room, tmp_path) -> None:
    config = TrainConfig(model="toy-net", data="toy", epochs=1)
    apart = train(config, out=tmp_path / "apart", model=model, data=data)
    asked = room(2**30)
    together = train(config, out=tmp_path / "together", model=model, data=data)
    assert len(asked) >= 3
    assert numbers(together) == numbers(apart)
