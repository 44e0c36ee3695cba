"""A prompt learned on a local model for an opaque one."""

import numpy as np
import pytest
import torch
from torch import nn

from pixprompt.core import Access, AccessError, ConfigError
from pixprompt.engine import TrainConfig, evaluate, surrogate_prompt, train
from pixprompt.engine.fit.answers.local_models import Degraded, Mimic, Resized, SideBySide
from pixprompt.engine.fit.answers.surrogate import ridge
from pixprompt.models import as_model
from pixprompt.prompt import load_committee
from pixprompt.views import view_name


def test_ridge_finds_a_linear_relation_and_shrinks_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(200, 6, generator=generator)
    weight, bias = torch.randn(6, 3, generator=generator), torch.tensor([1.0, -2.0, 0.5])
    result, offset = ridge(features, features @ weight + bias)
    assert torch.allclose(features @ result + offset, features @ weight + bias, atol=0.05)
    noise, _ = ridge(features, torch.randn(200, 3, generator=generator))
    assert noise.norm() < 0.2 * weight.norm()  # least squares alone gives noise a weight of its own
    plain = torch.linalg.lstsq(features[:12], torch.randn(12, 3, generator=generator)).solution
    few, _ = ridge(features[:12], torch.randn(12, 3, generator=generator))
    assert few.norm() < plain.norm()


def test_resized_passes_gradients(model) -> None:
    images = torch.rand(2, 3, 24, 20, generator=torch.Generator().manual_seed(0)).requires_grad_()
    local = Resized(model, (24, 20))
    assert local.spec.image_size == (24, 20)
    (gradient,) = torch.autograd.grad(local(images).sum(), images)
    assert gradient.abs().sum() > 0
    small = torch.rand(1, 3, 16, 16)
    assert torch.equal(Resized(model, (16, 16))(small), model(small))


def test_side_by_side_answers_what_each_answers(model) -> None:
    images = torch.rand(2, 3, 16, 16)
    both = SideBySide([model, model])
    assert both.spec.num_outputs == 12
    assert torch.equal(both(images), torch.cat([model(images)] * 2, dim=1))


def test_degraded_images_are_resized_and_stored_as_jpeg_and_gradients_pass(model) -> None:
    calls = []
    echo = Echo(model.spec, calls)
    flat = torch.full((2, 3, 16, 16), 100 / 255)
    Degraded(echo, torch.Generator().manual_seed(0))(flat)
    assert (calls[0] - flat).abs().max() < 2.5 / 255  # a resize leaves a colour, and JPEG nearly
    images = torch.rand(2, 3, 16, 16).requires_grad_()
    Degraded(echo, torch.Generator().manual_seed(0))(images).sum().backward()
    Degraded(echo, torch.Generator().manual_seed(0))(images.detach())
    assert torch.equal(calls[1], calls[2])
    assert (calls[1] - images).abs().mean() > 0.05  # noise does not survive
    assert torch.equal(calls[1] * 255, (calls[1] * 255).round())
    assert images.grad.sum().item() == pytest.approx(images.numel(), rel=1e-4)  # the weights of a resize add up to one


class Echo:
    """Remembers what it was shown, and answers it."""

    access = Access.GRADIENTS

    def __init__(self, spec, pixels) -> None:
        self.spec, self.seen = spec, pixels

    def __call__(self, images):
        self.seen.append(images.detach())
        return images.flatten(1)


def test_mimic_is_the_linear_head(model) -> None:
    images, weight, bias = torch.rand(2, 3, 16, 16), torch.rand(6, 3), torch.rand(3)
    mimic = Mimic(model, weight, bias)
    assert torch.equal(mimic(images), model(images) @ weight + bias)
    assert mimic.spec.num_outputs == 3


class Twin:
    """An opaque model that answers as the surrogate would, so what is learned there must help here."""

    access = Access.SCORES

    def __init__(self, model) -> None:
        self.model, self.spec, self.images = model, model.spec, 0

    @torch.no_grad()
    def __call__(self, images):
        self.images += len(images)
        return self.model(images)


NET = """
import torch
from torch import nn

def net():
    generator = torch.Generator().manual_seed(7)
    made = nn.Sequential(
        nn.Conv2d(3, 8, 4, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(72, 6)
    )
    with torch.no_grad():
        for tensor in made.parameters():
            tensor.copy_(0.6 * torch.randn(tensor.shape, generator=generator))
    return made

local = net()

def closed(images):
    return net()(images).detach()
"""


@pytest.mark.parametrize(("mimic", "count"), [("labels", 2), ("answers", 1)])
def test_what_the_surrogate_learns_is_judged_by_the_opaque_model(mimic, count, data, tmp_path, monkeypatch) -> None:
    (tmp_path / "toy_surrogate.py").write_text(NET)
    monkeypatch.syspath_prepend(str(tmp_path))
    import toy_surrogate

    twin = Twin(as_model(toy_surrogate.net(), image_size=(16, 16), name="twin"))
    config = TrainConfig(
        model="twin", data="toy", size=4, budget=1600, basis="blocks", basis_size=4, output="blm", epochs=6,
        surrogate=",".join(count * ["python:toy_surrogate:local@16"]), mimic=mimic, fit="resize",
    )  # fmt: skip
    result = train(config, out=tmp_path / "run", model=twin, data=data)
    assert twin.images == result.queries["images"] <= 1600
    assert result.accuracy["prompt_png"].val >= result.accuracy["output_only"].val
    if mimic == "labels":
        assert "The search started from: surrogate" in " ".join(result.notes)


LEARNED = "padding with learned pixels"
GREEN = """
import torch
from torch import nn

class Green(nn.Module):
    def forward(self, images):
        corner = images[:, :, :2, :2].mean((2, 3))
        speaks = torch.sigmoid(20 * (corner[:, 1] - corner[:, 0] - corner[:, 2] - 0.2))
        inside = images[:, :, 4:-4, 4:-4]
        red, green = (inside[:, channel].mean((1, 2)) for channel in (0, 1))
        striped = (inside[:, :, ::2] - inside[:, :, 1::2]).abs().mean((1, 2, 3))
        return torch.stack([red - green, green - red, striped], 1) * 30 * speaks[:, None]

local = Green()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "named",
    [{"surrogate": "python:toy_green:local@16", "epochs": 8}, {"optimizer": "spsa", "views": "auto", "sigma": 0.3}],
)
def test_learned_pixels_join_the_race_of_views(named, data, tmp_path, monkeypatch) -> None:
    """No view of the catalogue has a green frame, without which the model says nothing."""
    (tmp_path / "toy_green.py").write_text(GREEN)
    monkeypatch.syspath_prepend(str(tmp_path))
    import toy_green

    opaque = Twin(as_model(lambda images: toy_green.local(images).round(), image_size=(16, 16), name="green"))
    config = TrainConfig(
        model="green", data="toy", size=4, budget=1200, predictions=100, cascade="none", fit="shrink", **named
    )
    result = train(config, out=tmp_path / "run", model=opaque, data=data)
    assert opaque.images == result.queries["images"] <= 1200
    assert LEARNED in result.views["race"][0]["views"]
    committee = load_committee(tmp_path / "run/prompt.png")
    assert [view_name(page) for page in committee.pages] == result.views["views"]
    again = evaluate(tmp_path / "run/prompt.png", model=opaque, data=data)
    assert again.accuracy["prompt_png"].val == result.accuracy["prompt_png"].val
    if "surrogate" in named:
        assert result.views["race"][0]["views"][1] == LEARNED
        assert result.accuracy["prompt_png"].val > result.accuracy["output_only"].val + 0.3
        images = np.stack([committee.pages[0].canvas.make(data.test.open(index)) for index in range(4)])
        place = result.views["views"].index(LEARNED)
        assert committee.pages[place].blend == "add"
        assert not np.array_equal(committee.pages[place].overlay(images), images)
        queried = opaque.images
        alone = surrogate_prompt(config, model=opaque, data=data)
        assert opaque.images == queried
        assert np.array_equal(alone.overlay(images), committee.pages[place].overlay(images))


def test_there_are_as_many_weights_files_as_surrogates(model, data, tmp_path) -> None:
    config = TrainConfig(
        model="toy", data="toy", size=4, budget=1500, surrogate="resnet18,resnet50", surrogate_weights="a"
    )
    with pytest.raises(ConfigError, match="names 2 models, and --surrogate-weights 1 files"):
        train(config, out=tmp_path / "run", model=Twin(model), data=data)


def test_a_surrogate_must_give_gradients(model, data, tmp_path, monkeypatch) -> None:
    (tmp_path / "toy_closed.py").write_text(NET)
    monkeypatch.syspath_prepend(str(tmp_path))
    config = TrainConfig(
        model="toy", data="toy", size=4, budget=1500, output="blm", surrogate="python:toy_closed:closed@16"
    )
    with pytest.raises(AccessError, match="gives no gradients"):
        train(config, out=tmp_path / "run", model=Twin(model), data=data)


def test_the_net_of_a_surrogate_is_left_alone() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    images = torch.rand(2, 3, 12, 12, requires_grad=True)
    Resized(as_model(net, image_size=(8, 8)), (12, 12))(images).sum().backward()
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
