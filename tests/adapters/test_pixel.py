"""The pixel adapter: what it holds, what it needs, and the gradient that it gets, in closed form."""

import pytest
import torch
from torch import Tensor, nn

from pixprompt.adapters import PixelPrompt
from pixprompt.core import ConfigError, ModelSpec
from pixprompt.models import DirectQuerier, as_model
from pixprompt.outputs import make_output
from pixprompt.templates import TEMPLATES, Add, Over, make_template

SIZE = (8, 8)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def weights() -> Tensor:
    return torch.randn(3, 3 * 64, generator=seeded())


@pytest.fixture
def model(weights: Tensor) -> DirectQuerier:
    def scores(images: Tensor) -> Tensor:
        return images.flatten(1) @ weights.T

    return DirectQuerier(as_model(scores, image_size=SIZE, name="linear"))


def adapter(model, blend=None, template: str = "padding", space: str = "pixel") -> PixelPrompt:
    spec = ModelSpec("linear", SIZE, 3)
    return PixelPrompt(
        make_template(template, canvas_size=SIZE, size=2, blend=blend or Add()),
        model,
        make_output("first-k", classes=("a", "b", "c"), spec=spec),
        generator=seeded(),
        space=space,
    )


def test_is_a_module_that_holds_theta_alone() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    prompt = adapter(as_model(net, image_size=SIZE))
    assert [name for name, _ in prompt.named_parameters()] == ["theta"]
    assert set(prompt.state_dict()) == {"theta"}


def test_gradient_of_a_linear_model_is_its_weight_inside_the_template(model, weights) -> None:
    prompt = adapter(model)
    images = torch.full((1, 3, *SIZE), 100 / 255)
    prompt(images)[0, 1].backward()
    inside = weights[1].view(3, 64)[:, prompt.template.geometry.pixels(None)]
    torch.testing.assert_close(prompt.theta.grad.view(3, -1), inside)


def test_a_wrong_template_would_be_caught(model, weights) -> None:
    """Negative control of the test above: the patch reads other weights than the frame."""
    prompt = adapter(model, template="patch")
    prompt(torch.full((1, 3, *SIZE), 100 / 255))[0, 1].backward()
    frame = weights[1].view(3, 64)[:, adapter(model).template.geometry.pixels(None)][:, :4]
    assert not torch.allclose(prompt.theta.grad.view(3, -1), frame)


def test_a_blank_prompt_is_no_prompt(model) -> None:
    images = torch.randint(0, 256, (4, 3, *SIZE), generator=seeded()).float() / 255
    assert torch.equal(adapter(model).outputs(images), model(images))


@pytest.mark.parametrize("template", list(TEMPLATES))
@pytest.mark.parametrize("blend", [Add(), Over(), Over(opacity=None)], ids=repr)
def test_constrain_brings_theta_back_and_changes_no_answer(template, blend, model) -> None:
    prompt = adapter(model, blend, template)
    with torch.no_grad():
        prompt.theta.add_(5 * torch.randn(prompt.theta.shape, generator=seeded(1)))
    images = torch.randint(0, 256, (2, 3, *SIZE), generator=seeded()).float() / 255
    before = prompt(images)
    prompt.constrain()
    assert prompt.theta.abs().max() <= 1
    assert torch.equal(prompt(images), before)


def test_normalized_space_is_free_and_needs_the_inside() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    model = as_model(net, image_size=SIZE, mean=(0.5,) * 3, std=(0.25,) * 3)
    prompt = adapter(DirectQuerier(model), Add(unit=(0.25,) * 3), space="unclamped")
    with torch.no_grad():
        prompt.theta.fill_(40.0)
    prompt.constrain()
    assert prompt.theta.min() == 40
    images = torch.full((1, 3, *SIZE), 0.5)
    plane = torch.zeros(3, 64)
    plane[:, prompt.template.geometry.pixels(None)] = 40.0
    torch.testing.assert_close(prompt.outputs(images), net(plane.view(1, 3, *SIZE)))
    assert prompt.model.num_images == 1


def test_normalized_space_refuses_over(model) -> None:
    with pytest.raises(ConfigError, match="blend 'add'"):
        adapter(model, Over(), space="unclamped")
    with pytest.raises(ConfigError, match="space must be one of"):
        adapter(model, space="normalised")
