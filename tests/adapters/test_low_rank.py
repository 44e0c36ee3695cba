"""LoR-VP's prompt against the product by hand."""

import pytest
import torch

from pixprompt.adapters import METHODS
from pixprompt.core import ConfigError
from pixprompt.models import as_model
from pixprompt.outputs import make_output
from pixprompt.templates import Over, make_template

SIZE = (4, 6)


def adapter(blend=None, **options):
    model = as_model(lambda images: images.flatten(1), image_size=SIZE, num_outputs=72, name="pixels")
    output = make_output("first-k", classes=("a", "b"), spec=model.spec)
    template = make_template("full", canvas_size=SIZE, size=None, blend=blend)
    return METHODS["lor-vp"].maker()(template, model, output, **options)


def test_adds_the_product_of_the_factors_of_each_channel() -> None:
    prompt = adapter(rank=1)
    with torch.no_grad():
        prompt.rows.copy_(
            torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1) * torch.tensor([0.0, 1.0, 2.0, 0.5]).view(1, 4, 1)
        )
        prompt.columns.copy_(torch.tensor([0.1, 0.0, 0.02, 0.2, -0.1, 0.05]).expand(3, 1, 6))
    result = prompt.prompted(torch.full((1, 3, *SIZE), 0.4), quantize=False).detach()
    assert float(result[0, 0, 1, 0]) == pytest.approx(0.4 + 1 * 1.0 * 0.1)
    assert float(result[0, 2, 3, 2]) == pytest.approx(0.4 + 3 * 0.5 * 0.02)
    assert float(result[0, 2, 2, 3]) == 1.0  # 0.4 + 3 * 2 * 0.2, clamped
    assert float(result[0, 1, 2, 4]) == pytest.approx(0.0, abs=1e-6)  # 0.4 - 2 * 2 * 0.1
    assert prompt.num_params == 3 * 1 * (4 + 6)
    assert prompt.to_prompt().num_params == 30


def test_starts_as_nothing_with_a_gradient_for_b_alone() -> None:
    prompt = adapter()
    images = torch.full((1, 3, *SIZE), 0.4)
    assert torch.equal(prompt.prompted(images, quantize=False), images)
    prompt.prompted(images, quantize=False).square().sum().backward()
    assert float(prompt.rows.grad.abs().min()) > 0
    assert int(prompt.columns.grad.count_nonzero()) == 0
    assert 0.005 < float(prompt.columns.detach().std()) < 0.02


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"1\.\.4"):
        adapter(rank=5)
    with pytest.raises(ConfigError, match="blend 'add'"):
        adapter(Over())
