"""Every template with every blend: what it may touch, and that the file gives the pixels that training saw."""

import numpy as np
import pytest
import torch

from pixprompt import Prompt
from pixprompt.canvas import Canvas
from pixprompt.core import ConfigError, PromptError, RangeError, ShapeError
from pixprompt.prompt import BLENDS
from pixprompt.templates import TEMPLATES, Add, Over, PixelTemplate, RandomPatch, make_template

SIZE = (32, 40)
ALL_BLENDS = [
    Add(),
    Add(unit=(0.2, 0.3, 0.4), start="normal"),
    Add(delta_scale=0.3),
    Add(delta_scale=127 / 255),
    Over(),
    Over(opacity=0.37, start="normal"),
    Over(opacity=1 / 255),
    Over(opacity=None, start="normal"),
]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def canvases(count: int = 5, seed: int = 1) -> torch.Tensor:
    return torch.randint(0, 256, (count, *SIZE, 3), generator=seeded(seed), dtype=torch.uint8)


def images_of(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.permute(0, 3, 1, 2).float() / 255


@pytest.fixture(params=ALL_BLENDS, ids=repr)
def blend(request: pytest.FixtureRequest) -> Add | Over:
    return request.param


@pytest.fixture(params=list(TEMPLATES))
def template(request: pytest.FixtureRequest, blend: Add | Over) -> PixelTemplate:
    return make_template(request.param, canvas_size=SIZE, size=7, blend=blend)


@pytest.fixture
def theta(template: PixelTemplate) -> torch.Tensor:
    # far outside the range too, so that every clamp is at work
    return template.init(generator=seeded()) + torch.randn(template.num_params, generator=seeded(2))


def test_every_blend_is_tried() -> None:
    assert {blend.name for blend in ALL_BLENDS} == set(BLENDS)


def test_keeps_shape_range_and_its_input(template: PixelTemplate, theta: torch.Tensor) -> None:
    images = images_of(canvases())
    before = images.clone()
    for quantize in (True, False):
        prompted = template(images, theta, quantize=quantize)
        assert prompted.shape == images.shape
        assert prompted.dtype == torch.float32
        assert prompted.min() >= 0
        assert prompted.max() <= 1
        assert torch.equal(images, before)


def test_leaves_everything_outside_the_template_alone(template: PixelTemplate, theta: torch.Tensor) -> None:
    images = torch.rand(3, 3, *SIZE, generator=seeded(3))  # not on the 8-bit grid
    inside = torch.zeros(SIZE[0] * SIZE[1], dtype=torch.bool)
    inside[template.geometry.pixels(None)] = True
    changed = (template(images, theta) != images).any(0).any(0).flatten()
    assert not changed[~inside].any()
    if not (template.blend.name == "over" and template.blend.opacity == 1 / 255):
        assert changed[inside].float().mean() > 0.9


def test_the_file_gives_the_pixels_that_training_saw(template: PixelTemplate, theta: torch.Tensor) -> None:
    pixels = canvases()
    prompt = Prompt(template.export(theta), Canvas(SIZE), template.blend.name, template.blend.delta_scale, {})
    prompted = template(images_of(pixels), theta)
    assert torch.equal(prompted, images_of(torch.from_numpy(prompt.overlay(pixels.numpy()))))


def test_unrounded_is_near_but_not_equal(template: PixelTemplate, theta: torch.Tensor) -> None:
    images = images_of(canvases())
    apart = (template(images, theta) - template(images, theta, quantize=False)).abs().max()
    # half a step for each rounding, and a code of "add" is up to two steps wide
    assert 0 < apart <= 2 / 255


def test_batch_size_does_not_matter(template: PixelTemplate, theta: torch.Tensor) -> None:
    images = images_of(canvases())
    alone = torch.cat([template(images[i : i + 1], theta) for i in range(len(images))])
    assert torch.equal(template(images, theta), alone)


def test_start_is_seeded_and_feasible(template: PixelTemplate) -> None:
    first = template.init(generator=seeded(5))
    torch.manual_seed(99)
    assert torch.equal(first, template.init(generator=seeded(5)))
    assert first.shape == (template.num_params,)


def test_projection_changes_no_pixel(template: PixelTemplate, theta: torch.Tensor) -> None:
    images = images_of(canvases())
    projected = template.project(theta)
    assert torch.equal(template(images, theta), template(images, projected))
    assert torch.equal(template.project(projected), projected)


def test_gradient_reaches_theta(template: PixelTemplate, theta: torch.Tensor) -> None:
    theta = template.project(theta).requires_grad_()
    template(images_of(canvases()), theta).square().sum().backward()
    assert theta.grad is not None
    assert (theta.grad != 0).float().mean() > 0.5


@pytest.mark.parametrize("size", [1, 30, 50, 111])
def test_padding_has_the_papers_number_of_parameters(size: int) -> None:
    template = make_template("padding", canvas_size=(224, 224), size=size, blend=Add())
    assert template.num_params == 2 * 3 * size * (224 + 224 - 2 * size)
    assert size != 30 or template.num_params == 69_840


@pytest.mark.parametrize("name", ["patch", "random-patch"])
@pytest.mark.parametrize("size", [1, 50, 224])
def test_patch_has_the_papers_number_of_parameters(name: str, size: int) -> None:
    assert make_template(name, canvas_size=(224, 224), size=size, blend=Add()).num_params == 3 * size**2


def test_full_covers_all() -> None:
    assert make_template("full", canvas_size=(224, 224), size=0, blend=Over(opacity=None)).num_params == 4 * 224**2


def test_random_patch_reaches_every_place_and_no_other() -> None:
    geometry, generator = RandomPatch((5, 6), 3), seeded()
    places = {int(geometry.pixels(generator)[0]) for _ in range(400)}
    assert places == {6 * top + left for top in range(3) for left in range(4)}


def test_random_patch_as_large_as_the_image() -> None:
    assert len(RandomPatch((4, 4), 4).pixels(seeded())) == 16


def test_random_patch_moves_by_batch_and_stays_put_in_the_file() -> None:
    template = make_template("random-patch", canvas_size=SIZE, size=7, blend=Over())
    images, theta = images_of(canvases()), torch.ones(template.num_params)
    generator = seeded()
    assert not torch.equal(template(images, theta, generator=generator), template(images, theta, generator=generator))
    assert torch.equal(template(images, theta), template(images, theta))


@pytest.mark.parametrize(
    ("place", "top", "left"),
    [("top-left", 0, 0), ("bottom-right", 25, 33), ("center", 12, 16), ("3,4", 3, 4), ("top-right", 0, 33)],
)
def test_patch_lies_where_it_is_put(place: str, top: int, left: int) -> None:
    template = make_template("patch", canvas_size=SIZE, size=7, blend=Over(), place=place)
    alpha = template.export(template.init(generator=seeded()))[..., 3]
    rows, columns = np.nonzero(alpha)
    assert (rows.min(), columns.min(), rows.max(), columns.max()) == (top, left, top + 6, left + 6)


@pytest.mark.parametrize(
    ("name", "size", "place"),
    [
        ("padding", 0, None),
        ("padding", 16, None),
        ("padding", -3, None),
        ("patch", 33, None),
        ("patch", 7, "26,0"),
        ("patch", 7, "-1,0"),
        ("patch", 7, "middle"),
        ("padding", 3, "0,0"),
        ("full", 3, "0,0"),
    ],
)
def test_refuses_what_does_not_fit(name: str, size: int, place: str | None) -> None:
    with pytest.raises(ConfigError):
        make_template(name, canvas_size=SIZE, size=size, blend=Add(), place=place)


def test_unknown_template_is_suggested() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'padding'"):
        make_template("paddin", canvas_size=SIZE, size=3, blend=Add())


def test_wrong_shapes_are_named() -> None:
    template = make_template("padding", canvas_size=SIZE, size=3, blend=Add())
    with pytest.raises(ShapeError, match="expected images"):
        template(torch.zeros(1, 3, 40, 32), torch.zeros(template.num_params))
    with pytest.raises(ShapeError, match="expected theta"):
        template(torch.zeros(1, 3, *SIZE), torch.zeros(5))


@pytest.mark.parametrize("opacity", [0.0, 0.003, 1.5, -1.0])
def test_opacity_has_a_range(opacity: float) -> None:
    with pytest.raises(RangeError):
        Over(opacity=opacity)


def test_add_in_model_units_is_the_papers_prompt_where_nothing_clamps() -> None:
    std = (0.2, 0.25, 0.3)
    template = make_template("padding", canvas_size=SIZE, size=4, blend=Add(unit=std))
    images = torch.full((2, 3, *SIZE), 0.5)
    theta = 0.3 * torch.randn(template.num_params, generator=seeded())
    normalize = lambda x: (x - 0.5) / torch.tensor(std).view(3, 1, 1)  # noqa: E731
    plane = normalize(template(images, theta, quantize=False)) - normalize(images)
    expected = torch.zeros(3, SIZE[0] * SIZE[1])
    expected[:, template.geometry.pixels(None)] = theta.view(3, -1)
    torch.testing.assert_close(plane[0].flatten(1), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(template.unclamped(images, theta), template(images, theta, quantize=False))


def test_unclamped_leaves_the_range_and_needs_add() -> None:
    template = make_template("full", canvas_size=SIZE, size=0, blend=Add())
    assert template.unclamped(torch.ones(1, 3, *SIZE), torch.ones(template.num_params)).max() == 2
    over = make_template("full", canvas_size=SIZE, size=0, blend=Over())
    with pytest.raises(ConfigError, match="blend 'add'"):
        over.unclamped(torch.ones(1, 3, *SIZE), torch.ones(over.num_params))


@pytest.mark.parametrize(
    ("blend", "constant"), [(Add, {"channels": 4}), (Add, {"name": "over"}), (Over, {"starts_blank": True})]
)
def test_what_follows_from_the_blend_is_no_argument(blend: type[Add] | type[Over], constant: dict[str, object]) -> None:
    with pytest.raises(TypeError, match=next(iter(constant))):
        blend(**constant)


def test_theta_and_its_plane_are_the_same_numbers(template: PixelTemplate, theta: torch.Tensor) -> None:
    plane = template.to_plane(theta)
    assert plane.shape == (template.blend.channels, *SIZE)
    assert torch.equal(template.from_plane(plane), theta)
    assert int((plane != 0).any(0).sum()) == template.geometry.num_pixels
    with pytest.raises(ShapeError, match="expected a plane"):
        template.from_plane(plane[:, 1:])


def test_a_start_from_a_saved_prompt_shows_the_same_pixels(template: PixelTemplate, theta: torch.Tensor) -> None:
    prompt = template.to_prompt(theta, Canvas(SIZE))
    again = template.from_prompt(prompt)
    assert np.array_equal(template.export(again), prompt.rgba)


def test_a_prompt_of_another_blend_size_geometry_or_opacity_is_no_start() -> None:
    prompt = make_template("full", canvas_size=SIZE).to_prompt(torch.zeros(3 * SIZE[0] * SIZE[1]), Canvas(SIZE))
    for other in (
        make_template("full", canvas_size=SIZE, blend=Over()),
        make_template("full", canvas_size=(32, 32)),
    ):
        with pytest.raises(PromptError, match="expected a prompt of blend"):
            other.from_prompt(prompt)
    over = make_template("padding", canvas_size=SIZE, size=3, blend=Over(opacity=0.5))
    saved = over.to_prompt(over.init(), Canvas(SIZE))
    with pytest.raises(PromptError, match="another opacity"):
        make_template("padding", canvas_size=SIZE, size=3, blend=Over()).from_prompt(saved)
    for size in (2, 4):
        with pytest.raises(PromptError, match="another geometry"):
            make_template("padding", canvas_size=SIZE, size=size, blend=Over(opacity=0.5)).from_prompt(saved)


def test_full_needs_no_size_and_the_others_say_so() -> None:
    assert make_template("full", canvas_size=SIZE).num_params == 3 * SIZE[0] * SIZE[1]
    for name in ("padding", "patch", "random-patch"):
        with pytest.raises(ConfigError, match="got None"):
            make_template(name, canvas_size=SIZE)
