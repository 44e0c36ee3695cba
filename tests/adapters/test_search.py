"""What a search moves: the pixels that it scores are those of the file, and a step has the size that it says."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from pixprompt.adapters import BarPrompter, InBasis
from pixprompt.canvas import Canvas
from pixprompt.core import ConfigError, ShapeError
from pixprompt.prompt import Prompt, load
from pixprompt.templates import BASES, TEMPLATES, Add, Over, PixelTemplate, make_basis, make_template

SIZE = (16, 20)
BLENDS = [
    Add(),
    Add(unit=(0.2, 0.3, 0.4), delta_scale=0.3),
    Over(),
    Over(opacity=0.37),
    Over(opacity=None),
]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def canvases(count: int = 3) -> Tensor:
    return torch.randint(0, 256, (count, *SIZE, 3), generator=seeded(1), dtype=torch.uint8)


def images_of(pixels: Tensor) -> Tensor:
    return pixels.permute(0, 3, 1, 2).float() / 255


def make(name: str = "padding", blend: Add | Over | None = None) -> PixelTemplate:
    return make_template(name, canvas_size=SIZE, size=5, blend=blend or Over())


def saved(prompter: InBasis | BarPrompter, x: Tensor) -> Prompt:
    template = prompter.template
    return Prompt(template.export(prompter.theta(x)), Canvas(SIZE), template.blend.name, template.blend.delta_scale, {})


def in_basis(template: PixelTemplate, basis: str = "dct") -> InBasis:
    return InBasis(template, make_basis(basis, template, generator=seeded()), template.init(generator=seeded()))


@pytest.mark.parametrize("basis", list(BASES))
@pytest.mark.parametrize("name", list(TEMPLATES))
@pytest.mark.parametrize("blend", BLENDS, ids=repr)
def test_scores_the_pixels_of_the_file(basis: str, name: str, blend: Add | Over) -> None:
    prompter = in_basis(make(name, blend), basis)
    pixels, start = canvases(), prompter.start(generator=seeded())
    for size in (0.0, 0.05, 3.0):  # 3: every clamp is at work
        x = start + size * torch.randn(prompter.num_params, generator=seeded(2))
        prompted = prompter(images_of(pixels), x)
        assert torch.equal(prompted, images_of(torch.from_numpy(saved(prompter, x).overlay(pixels.numpy()))))
        theta = prompter.theta(x)
        assert torch.equal(prompter.template.project(theta), theta)
        assert (size > 0) == (not torch.equal(theta, prompter.base))


def test_scores_the_pixels_of_the_file_on_disk(tmp_path: Path) -> None:
    prompter = in_basis(make())
    x = torch.randn(prompter.num_params, generator=seeded(), dtype=torch.float64)  # as optimisers have them
    saved(prompter, x).save(tmp_path / "prompt.png")
    reread, pixels = load(tmp_path / "prompt.png"), canvases()
    prompted = prompter(images_of(pixels), x)
    assert prompted.dtype == torch.float32
    assert torch.equal(prompted, images_of(torch.from_numpy(reread.overlay(pixels.numpy()))))


def test_unrounded_pixels_would_be_told_apart() -> None:
    """Negative control: what the template gives without rounding is not what the file gives."""
    prompter = in_basis(make())
    x = torch.randn(prompter.num_params, generator=seeded())
    floats = prompter.template(images_of(canvases()), prompter.theta(x), quantize=False)
    assert not torch.equal(floats, prompter(images_of(canvases()), x))


def test_base_must_fit_the_template() -> None:
    template = make()
    with pytest.raises(ShapeError, match="expected a base theta"):
        InBasis(template, make_basis("dct", template, generator=seeded()), torch.zeros(7))


def inside(template: PixelTemplate, images: Tensor) -> Tensor:
    return images.flatten(2)[:, :, template.geometry.pixels(None)]


@pytest.mark.parametrize("name", list(TEMPLATES))
def test_bar_is_a_sigmoid_and_a_file(name: str) -> None:
    prompter, pixels = BarPrompter(make(name)), canvases()
    x = torch.randn(prompter.num_params, generator=seeded())
    torch.testing.assert_close(prompter.theta(x), 1 / (1 + (-4 * x).exp()))
    expected = images_of(torch.from_numpy(saved(prompter, x).overlay(pixels.numpy())))
    assert torch.equal(prompter(images_of(pixels), x), expected)
    assert not prompter.per_image


def test_bar_starts_grey_and_moves_one_to_one() -> None:
    prompter = BarPrompter(make())
    start = prompter.start(generator=seeded())
    pixels = inside(prompter.template, prompter(images_of(canvases()), start))
    assert pixels.min() == pixels.max() == 128 / 255
    step = 1e-3 * torch.randn(prompter.num_params, generator=seeded(), dtype=torch.float64)
    moved = (prompter.theta(step) - prompter.theta(start)).double()
    # The slope of a sigmoid is 1/4: without the scale this would be 0.25.
    assert float(moved.norm() / step.norm()) == pytest.approx(1, abs=1e-3)


def test_bar_is_not_the_pixel_basis() -> None:
    """Negative control of the closed form: far from the start the sigmoid bends, the plain pixels are cut."""
    template = make()
    x = torch.full((template.num_params,), 0.4)
    pixel = InBasis(template, make_basis("pixels", template, generator=seeded()), template.init(generator=seeded()))
    assert float(pixel.theta(x)[0]) == pytest.approx(0.9)
    assert float(BarPrompter(template).theta(x)[0]) == pytest.approx(0.832, abs=1e-3)


@pytest.mark.parametrize("blend", [Add(), Over(opacity=0.5), Over(opacity=None)], ids=repr)
def test_bar_needs_an_opaque_prompt(blend: Add | Over) -> None:
    with pytest.raises(ConfigError, match="blend 'over' with opacity 1"):
        BarPrompter(make(blend=blend))
