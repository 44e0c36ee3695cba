"""Several prompts: their answers stand side by side, and the committee shows what was learned."""

import numpy as np
import pytest
import torch

from pixprompt.adapters import METHODS
from pixprompt.core import ConfigError, PromptError
from pixprompt.models import as_model
from pixprompt.outputs import make_output
from pixprompt.templates import Over, make_template

SIDE = 6


def adapter(**options):
    model = as_model(lambda images: images.flatten(1), image_size=SIDE, num_outputs=3 * SIDE**2, name="pixels")
    template = make_template("padding", canvas_size=(SIDE, SIDE), size=2, blend=Over())
    output = make_output("first-k", classes=("a", "b"), spec=model.spec, views=2)
    return METHODS["dvp"].maker()(template, model, output, prompts=2, **options)


def test_the_answers_under_each_prompt_stand_side_by_side() -> None:
    prompt, images = adapter(), torch.full((3, 3, SIDE, SIDE), 1.0)
    with torch.no_grad():
        prompt.thetas[0] = 0.2
        prompt.thetas[1] = 0.6
    expected = torch.ones(2, 3, SIDE, SIDE)
    frame = torch.ones(SIDE, SIDE, dtype=torch.bool)
    frame[2:4, 2:4] = False
    expected[0, :, frame], expected[1, :, frame] = 0.2, 0.6
    torch.testing.assert_close(prompt.outputs(images).detach(), expected.flatten().expand(3, -1))
    assert prompt.num_params == 2 * 3 * 32


def test_the_committee_shows_what_was_learned() -> None:
    prompt = adapter()
    with torch.no_grad():
        prompt.thetas.copy_(torch.rand(prompt.thetas.shape, generator=torch.Generator().manual_seed(0)))
    committee = prompt.to_committee()
    pixels = np.full((SIDE, SIDE, 3), 77, np.uint8)
    pages = np.stack(committee.apply(pixels))
    images = torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0) / 255
    memory = (prompt.outputs(images).detach().view(2, 3, SIDE, SIDE) * 255).round().permute(0, 2, 3, 1)
    assert np.array_equal(pages, memory.numpy())
    assert committee.num_params == prompt.num_params
    with pytest.raises(PromptError, match="to_committee"):
        prompt.to_prompt()


def test_no_prompt_is_no_ensemble() -> None:
    with pytest.raises(ConfigError, match="at least one prompt"):
        METHODS["dvp"].maker()(None, None, None, prompts=0)
