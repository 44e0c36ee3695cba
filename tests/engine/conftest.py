"""A task that a prompt can learn in a second: three kinds of noisy pictures, a fixed random net with six outputs."""

import numpy as np
import pytest
import torch
from torch import nn

from pixprompt.core import Model
from pixprompt.data import Data
from pixprompt.data.image_set import from_arrays
from pixprompt.engine import TrainConfig
from pixprompt.models import as_model

from ..plots.blank import leave_blank
from .toy import Wholes

SIZE = 16
CLASSES = ("red", "green", "striped")


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    pixels = rng.integers(0, 120, (count, SIZE, SIZE, 3))
    pixels[labels == 0, :, :, 0] += 60
    pixels[labels == 1, :, :, 1] += 60
    pixels[labels == 2, ::2] += 60
    return pixels.clip(0, 255).astype(np.uint8), labels


@pytest.fixture(autouse=True)
def blank_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of a run are there, with one pixel; the figures have tests of their own."""
    leave_blank(request, monkeypatch)


@pytest.fixture
def drawn() -> None:
    """Asks for the real pictures of a run."""


@pytest.fixture(scope="session")
def wholes(tmp_path_factory: pytest.TempPathFactory) -> Wholes:
    return Wholes(tmp_path_factory.mktemp("wholes"))


@pytest.fixture
def data() -> Data:
    parts = {name: from_arrays(*pictures(n, seed), prefix=name)
             for name, n, seed in (("train", 60, 1), ("val", 30, 2), ("test", 45, 3))}  # fmt: skip
    return Data("toy", CLASSES, **parts)


@pytest.fixture
def net() -> nn.Module:
    return make_net()


def make_net() -> nn.Module:
    generator = torch.Generator().manual_seed(7)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 4, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(),
        nn.Dropout(0.5), nn.Linear(72, 6),
    )  # fmt: skip
    with torch.no_grad():
        for tensor in net.parameters():
            tensor.copy_(0.6 * torch.randn(tensor.shape, generator=generator))
    return net.train()


@pytest.fixture
def model(net: nn.Module) -> Model:
    return as_model(net, image_size=(SIZE, SIZE), mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3), name="toy-net")


@pytest.fixture
def config() -> TrainConfig:
    """A prompt that a label mapping reads: the toy answers with six numbers."""
    short = {"epochs": 4, "batch_size": 16, "warmup": 2, "precision": "fp32"}
    return TrainConfig(model="toy-net", data="toy", output="frequency", size=4, **short)
