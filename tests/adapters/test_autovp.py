"""AutoVP's prompt: where image and frame are at a scale, the gradient of the scale, and the file."""

import numpy as np
import pytest
import torch
from PIL import Image

from pixprompt.adapters import METHODS
from pixprompt.core import ConfigError
from pixprompt.models import as_model
from pixprompt.outputs import make_output
from pixprompt.templates import make_template

SIDE = 28
HALF = (SIDE / 2) / (SIDE * 128 / 224)
"""The scale at which the image has half of the canvas's sides."""


def adapter(template: str = "full", **options):
    model = as_model(lambda images: images.flatten(1), image_size=SIDE, num_outputs=3 * SIDE**2, name="pixels")
    output = make_output("first-k", classes=("a", "b"), spec=model.spec)
    prompt = METHODS["autovp"].maker()(
        make_template(template, canvas_size=(SIDE, SIDE), size=3), model, output, scale=HALF, **options
    )
    with torch.no_grad():
        prompt.theta.fill_(50 / 255)
    return prompt


def test_the_image_is_in_the_middle_and_the_prompt_around_it() -> None:
    images = torch.full((2, 3, SIDE, SIDE), 200 / 255)
    for mode in (True, False):
        prompt = adapter().train(mode).prompted(images, quantize=False).detach() * 255
        expected = torch.full((SIDE, SIDE), 50.0)
        expected[7:21, 7:21] = 200.0
        torch.testing.assert_close(prompt, expected.expand(2, 3, SIDE, SIDE), atol=1e-3, rtol=0)


def test_a_larger_scale_covers_more_and_its_gradient_is_clipped() -> None:
    """A pixel d from the middle is covered by clip(S/2 + 1/2 - d/share) of the bilinear image in each direction."""
    prompt, images = adapter().train(), torch.full((1, 3, SIDE, SIDE), 200 / 255)
    for share in (0.43, 0.5, 7.5 / 14, 0.8):
        with torch.no_grad():
            prompt.scale.fill_(share * 224 / 128)
        total = prompt.prompted(images, quantize=False).sum()
        covered = sum(2 * min(1.0, max(0.0, SIDE / 2 + 0.5 - (d + 0.5) / share)) for d in range(SIDE // 2)) ** 2
        assert float(total.detach()) * 255 == pytest.approx(3 * (50 * SIDE**2 + 150 * covered), rel=1e-4)
        if share == 7.5 / 14:  # where a ring of pixels is half covered
            (slope,) = torch.autograd.grad(total, prompt.scale)
            assert float(slope) == pytest.approx(1e-3)


def test_the_file_shows_what_was_learned() -> None:
    prompted = adapter().eval()
    prompt = prompted.to_prompt()
    assert (prompt.canvas.fit, prompt.canvas.frame, prompt.num_params) == ("shrink", 7, 3 * SIDE**2 + 1)
    picture = np.full((SIDE, SIDE, 3), 200, np.uint8)
    pixels = np.asarray(prompt.apply(Image.fromarray(picture)))
    tensor = torch.from_numpy(picture).permute(2, 0, 1).unsqueeze(0) / 255
    memory = (prompted.prompted(tensor)[0].detach() * 255).round().permute(1, 2, 0).numpy()
    assert np.array_equal(pixels, memory)


def test_scale_and_template_are_kept_within_bounds() -> None:
    prompt = adapter()
    for value, frame in ((9.0, 1), (0.0, round(SIDE * (1 - 0.1 * 128 / 224) / 2))):
        with torch.no_grad():
            prompt.scale.fill_(value)
        prompt.constrain()
        assert prompt.frame == frame
    with pytest.raises(ConfigError, match="template 'full'"):
        adapter("padding")
