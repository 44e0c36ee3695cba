"""SMM's prompt: the published sizes of its network, the mask's patches, and the sum by hand."""

import pytest
import torch
from torch.nn.functional import batch_norm, conv2d, max_pool2d

from pixprompt.adapters import METHODS
from pixprompt.adapters.pixel_prompts.masks import MaskNet
from pixprompt.core import ConfigError, PromptError
from pixprompt.models import as_model
from pixprompt.outputs import make_output
from pixprompt.templates import Over, make_template

SIDE = 16


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def adapter(blend=None, **options):
    model = as_model(lambda images: images.flatten(1), image_size=SIDE, num_outputs=3 * SIDE**2, name="pixels")
    output = make_output("first-k", classes=("a", "b"), spec=model.spec)
    template = make_template("full", canvas_size=(SIDE, SIDE), size=None, blend=blend)
    return METHODS["smm"].maker()(template, model, output, generator=seeded(), **options)


@pytest.mark.parametrize(("layers", "count"), [(5, 26_499), (6, 102_339)])
def test_the_network_has_the_published_number_of_parameters(layers: int, count: int) -> None:
    assert sum(each.numel() for each in MaskNet(layers, 8, generator=seeded()).parameters()) == count


def test_a_mask_is_the_networks_last_map_each_number_on_a_patch() -> None:
    prompt = adapter(patch=4).eval()
    images = torch.randint(0, 256, (2, 3, SIDE, SIDE), generator=seeded(1)) / 255
    maps = images
    for index, (convolution, norm) in enumerate(zip(prompt.mask.convolutions, prompt.mask.norms, strict=False)):
        maps = conv2d(maps, convolution.weight, convolution.bias, padding=1)
        maps = batch_norm(maps, norm.running_mean, norm.running_var, norm.weight, norm.bias).clamp_min(0)
        maps = max_pool2d(maps, 2) if index < 2 else maps
    last = prompt.mask.convolutions[-1]
    small = conv2d(maps, last.weight, last.bias, padding=1)
    assert small.shape == (2, 3, 4, 4)
    mask = small.repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(prompt.mask(images), mask)
    with torch.no_grad():
        prompt.theta.copy_(0.3 * torch.randn(prompt.theta.shape, generator=seeded(2)))
    expected = (images + prompt.theta.view(3, SIDE, SIDE) * mask).clamp(0, 1)
    torch.testing.assert_close(prompt.prompted(images, quantize=False), expected)
    steps = prompt.prompted(images) * 255
    torch.testing.assert_close(steps, steps.round())


def test_the_first_prompt_changes_nothing_and_moves_the_pattern_first() -> None:
    prompt, images = adapter().train(), torch.rand(3, 3, SIDE, SIDE, generator=seeded(1))
    assert torch.equal(prompt.prompted(images, quantize=False), images)
    prompt.prompted(images, quantize=False).sum().backward()
    assert int(prompt.theta.grad.count_nonzero()) > 0
    assert all(int(each.grad.count_nonzero()) == 0 for each in prompt.mask.parameters())


def test_what_it_cannot_be_is_said() -> None:
    with pytest.raises(PromptError, match="another prompt for each image, which no PNG can hold"):
        adapter().to_prompt()
    for options in ({"layers": 4}, {"patch": 3}, {"patch": 32}):
        with pytest.raises(ConfigError, match="5 or 6 layers and patches of 1, 2, 4"):
            adapter(**options)
    with pytest.raises(ConfigError, match="blend 'add'"):
        adapter(Over())
