"""What every adapter must keep, whatever it learns: as a torch module, and at its border."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import pytest
import timm
import torch
from torch import Tensor, nn

from pixprompt.adapters import METHODS, PixelPrompt, WhiteBox, make_sa2vp, make_vpt, make_white_box
from pixprompt.core import Access, AccessError, ConfigError, RangeError, ShapeError
from pixprompt.models import TorchModel, as_model
from pixprompt.outputs import make_output
from pixprompt.templates import Add, make_template

from ..backbones.vit_toy import CLASSES, vit
from .clip_toy import toy_clip

Adapter = PixelPrompt | WhiteBox


def pixel(model: TorchModel, name: str = "pixel") -> PixelPrompt:
    place = METHODS[name].defaults.get("template", "padding")
    template = make_template(place, canvas_size=model.spec.image_size, size=3, blend=Add())
    prompt: PixelPrompt = METHODS[name].maker()(
        template, model, make_output("linear", spec=model.spec, classes=CLASSES)
    )
    output = make_output("linear", spec=model.spec, classes=CLASSES, views=prompt.views)
    answers = prompt.outputs(pictures(40)).detach() + torch.randn(40, 1, generator=torch.Generator().manual_seed(2))
    prompt.output = output.refit(answers, torch.arange(40) % len(CLASSES))
    return prompt


def white_box(name: str, model: TorchModel) -> WhiteBox:
    options = {"adaptformer": {"bottleneck": 4}, "vpt-shallow": {"dropout": 0.2}}.get(name, {})
    adapter = make_white_box(name, model, CLASSES, **options)
    images = torch.zeros(3, 3, 32, 32) + torch.tensor([0.2, 0.5, 0.9])[:, None, None, None]
    adapter.start(adapter.frozen(images), torch.arange(3))
    return adapter


MAKERS: dict[str, Callable[[TorchModel], Adapter]] = {
    "pixel": pixel,
    **{name: partial(pixel, name=name) for name in METHODS.builtin() if METHODS[name].access is Access.GRADIENTS},
    **{name: partial(white_box, name) for name in METHODS.builtin() if METHODS[name].white_box},
}


def pictures(count: int = 3) -> Tensor:
    return torch.randint(0, 256, (count, 3, 32, 32), generator=torch.Generator().manual_seed(1)) / 255


@pytest.fixture(params=MAKERS)
def adapter(request: pytest.FixtureRequest) -> Adapter:
    prompt = MAKERS[request.param](toy_clip() if request.param == "coop" else vit())
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in prompt.parameters():  # away from the start, at which many change nothing
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return prompt


def test_it_works_in_both_modes_and_a_generator_decides(adapter: Adapter) -> None:
    images, (first, again) = pictures(), (torch.Generator().manual_seed(7) for _ in range(2))
    assert adapter.train()(images).shape == (3, len(CLASSES))
    assert torch.equal(adapter(images, generator=first), adapter(images, generator=again))
    adapter.eval()
    assert torch.equal(adapter(images), adapter(images, generator=first))


def test_nothing_of_the_model_is_in_its_state(adapter: Adapter) -> None:
    owned = {value.data_ptr() for value in adapter.model.net.state_dict().values()}
    assert owned.isdisjoint(value.data_ptr() for value in adapter.state_dict().values())
    assert not any(name.startswith(("model", "_model", "net", "view")) for name in adapter.state_dict())


def test_a_copy_is_independent_down_to_the_model(adapter: Adapter) -> None:
    images, adapter = pictures(), adapter.eval()
    before = adapter(images)
    twin = copy.deepcopy(adapter)
    assert torch.equal(twin(images), before)
    with torch.no_grad():
        for value in [*twin.parameters(), *twin.model.net.parameters()]:
            value.zero_()
    assert torch.equal(adapter(images), before)
    assert not torch.equal(twin(images), before)


def test_the_model_follows_to_another_precision(adapter: Adapter) -> None:
    images, adapter = pictures(), adapter.eval()
    before = adapter(images)
    assert adapter.double() is adapter
    assert {value.dtype for value in [*adapter.parameters(), *adapter.model.net.parameters()]} == {torch.float64}
    for values in (images.double(), images):
        torch.testing.assert_close(adapter(values).float(), before, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(adapter.float()(images), before, rtol=1e-5, atol=1e-6)
    assert adapter.bfloat16()(images).isfinite().all()


def test_the_border_is_guarded(adapter: Adapter) -> None:
    for wrong, error in ((pictures() * 255, RangeError), (pictures() - 0.5, RangeError)):
        with pytest.raises(error, match=r"values in \[0, 1\]"):
            adapter(wrong)
    for shape in ((3, 3, 32, 16), (3, 32, 32), (3, 1, 32, 32)):
        with pytest.raises(ShapeError, match="expected images"):
            adapter(torch.zeros(shape))


@pytest.mark.parametrize("name", [name for name in MAKERS if METHODS[name].white_box and name != "coop"])
def test_a_plain_timm_net_is_enough_and_stays_as_it_is(name: str) -> None:
    sizes = {"img_size": 32, "embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 5}
    net = timm.create_model("vit_tiny_patch16_224", **sizes).train()
    first = MAKERS[name](net).eval()
    second = MAKERS[name](as_model(net, image_size=32, mean=(0.5,) * 3, std=(0.5,) * 3)).eval()
    torch.testing.assert_close(first(pictures()), second(pictures()))
    assert net.training
    assert all(value.requires_grad for value in net.parameters())


def test_what_cannot_be_reached_into_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="as_model"):
        make_vpt(nn.Linear(2, 2), CLASSES)
    with pytest.raises(AccessError, match="local torch model"):
        make_sa2vp(as_model(lambda images: images.mean((2, 3)), image_size=32), CLASSES)


def test_the_output_transform_moves_with_a_pixel_prompt() -> None:
    adapter = pixel(vit()).to("meta")
    assert adapter.output(torch.zeros(2, 5, device="meta")).device.type == "meta"


def test_a_pixel_prompt_starts_where_it_is_told() -> None:
    model = vit()
    first = pixel(model)
    prompt = first.to_prompt(seed=3)
    assert (prompt.model, prompt.seed, prompt.canvas.size) == (model.spec.name, 3, (32, 32))
    by_theta, by_prompt = (
        PixelPrompt(first.template, model, first.output, start=start) for start in (first.theta, prompt)
    )
    assert torch.equal(by_theta.theta, first.theta)
    assert torch.equal(by_prompt(pictures()), first(pictures()))
    with pytest.raises(ShapeError, match="expected theta"):
        PixelPrompt(first.template, model, first.output, start=torch.zeros(3))
