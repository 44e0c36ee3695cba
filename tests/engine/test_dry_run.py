"""A dry run makes every check that a run makes, and what a check has built is what the run uses."""

from dataclasses import replace
from pathlib import Path

import pytest

from pixprompt.core import AnswerKind, Model, PixpromptError
from pixprompt.data import Data
from pixprompt.engine import TrainConfig, plan, train
from pixprompt.engine.parts import build

from .toy import Closed

TOY = """
import torch
from torch import nn

loaded = 0

def __getattr__(name):
    global loaded
    if name != "local":
        raise AttributeError(name)
    loaded += 1
    net = nn.Sequential(nn.Conv2d(3, 8, 4, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(),
                        nn.Linear(72, 6))
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for tensor in net.parameters():
            tensor.copy_(0.6 * torch.randn(tensor.shape, generator=generator))
    return net

def closed(images):
    return images.mean((2, 3)).detach()
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Name of a module with a net that counts how often it is loaded."""
    name = f"toy_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(TOY)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def embedding(model: Model) -> Closed:
    closed = Closed(model)
    closed.spec = replace(model.spec, answer=AnswerKind.EMBEDDINGS)
    return closed


REFUSED = {
    "bar reads no embeddings": ({"method": "bar", "budget": 1500}, embedding),
    "a surrogate without gradients": ({"surrogate": "python:{toy}:closed@16", "budget": 1500, "output": "blm"}, Closed),
    "a basis that does not fit": ({"basis": "blocks", "basis_size": 99, "budget": 1500, "output": "blm"}, Closed),
    "gradients beyond the budget": ({"optimizer": "adam", "budget": 100, "epochs": 6}, lambda model: model),
    "an adapter inside an unknown net": ({"method": "linear"}, lambda model: model),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_run_refuses_a_dry_run_refuses(case: str, toy: str, model: Model, data: Data, tmp_path: Path) -> None:
    values, wrap = REFUSED[case]
    named = {name: value.format(toy=toy) if isinstance(value, str) else value for name, value in values.items()}
    size = {} if named.get("method") == "linear" else {"size": 4}
    config = TrainConfig(model="toy-net", data="toy", **size, **named)
    with pytest.raises(PixpromptError) as run:
        train(config, out=tmp_path / "run", model=wrap(model), data=data)
    with pytest.raises(PixpromptError) as dry:
        plan(build(config, model=wrap(model), data=data))
    assert (type(dry.value), str(dry.value)) == (type(run.value), str(run.value))
    assert not (tmp_path / "run").exists()  # refused before anything is written


def test_the_same_settings_without_the_fault_are_planned(toy: str, model: Model, data: Data) -> None:
    config = TrainConfig(
        model="toy-net", data="toy", size=4, budget=1500, output="blm", surrogate=f"python:{toy}:local@16"
    )
    assert plan(build(config, model=Closed(model), data=data))["queries"]["search"] > 0
    config = TrainConfig(model="toy-net", data="toy", size=4, method="bar", budget=1500)
    assert plan(build(config, model=Closed(model), data=data))["queries"]["search"] > 0


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"surrogate": "python:{toy}:local@16"}, marks=pytest.mark.slow),
        {"method": "blackvip", "encoder": "python:{toy}:local@16"},
    ],
)
def test_a_second_model_is_loaded_once(values: dict, toy: str, model: Model, data: Data, tmp_path: Path) -> None:
    named = {name: value.format(toy=toy) if isinstance(value, str) else value for name, value in values.items()}
    config = TrainConfig(model="toy-net", data="toy", size=4, budget=1500, output="blm", **named)
    train(config, out=tmp_path / "run", model=Closed(model), data=data)
    assert __import__(toy).loaded == 1
