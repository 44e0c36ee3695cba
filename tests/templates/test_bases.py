"""Every basis on every template and blend: that it starts at nothing, keeps its units, and holds what it says."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pixprompt.core import ConfigError, ShapeError, UnknownName
from pixprompt.templates import BASES, TEMPLATES, Add, Over, PixelTemplate, bases, make_basis, make_template

SIZE = (16, 20)
BLENDS = [Add(), Add(unit=(0.2, 0.3, 0.4)), Over(), Over(opacity=None)]
LINEAR = [name for name in BASES if name != "low-rank"]
EVERY = pytest.mark.parametrize("name", list(BASES))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def frame(width: int = 30, side: int = 224, blend: Add | Over | None = None) -> PixelTemplate:
    return make_template("padding", canvas_size=(side, side), size=width, blend=blend or Add())


def full(height: int = 24, width: int = 20) -> PixelTemplate:
    return make_template("full", canvas_size=(height, width), size=0, blend=Over())


@pytest.fixture(params=BLENDS, ids=repr)
def blend(request: pytest.FixtureRequest) -> Add | Over:
    return request.param


@pytest.fixture(params=list(TEMPLATES))
def template(request: pytest.FixtureRequest, blend: Add | Over) -> PixelTemplate:
    return make_template(request.param, canvas_size=SIZE, size=5, blend=blend)


def pixels(template: PixelTemplate, theta: Tensor) -> Tensor:
    """Theta in [0, 1] pixel units."""
    plane = theta.view(template.blend.channels, -1)
    return template.blend.delta(plane) if isinstance(template.blend, Add) else plane


def jacobian(template: PixelTemplate, basis: bases.Basis, x: Tensor) -> Tensor:
    """Pixels moved by each number of x, (P, D); central differences are exact up to degree two."""
    steps = torch.eye(basis.num_params, dtype=x.dtype)
    return torch.stack([pixels(template, (basis(x + step) - basis(x - step)) / 2).flatten() for step in steps], dim=1)


def planes(template: PixelTemplate, theta: Tensor) -> Tensor:
    """Theta on the canvas, 0 elsewhere: (channels, H, W)."""
    plane = theta.new_zeros(template.blend.channels, math.prod(template.geometry.size))
    plane[:, template.geometry.pixels(None)] = theta.view(template.blend.channels, -1)
    return plane.view(-1, *template.geometry.size)


@EVERY
def test_starts_at_exactly_nothing(name: str, template: PixelTemplate) -> None:
    basis = make_basis(name, template, generator=seeded())
    start = basis.start()
    torch.manual_seed(99)
    assert torch.equal(start, make_basis(name, template, generator=seeded()).start())
    assert start.shape == (basis.num_params,)
    added = basis(start)
    assert added.shape == (template.num_params,)
    assert torch.count_nonzero(added) == 0


@EVERY
def test_a_step_has_the_size_that_it_says(name: str, template: PixelTemplate) -> None:
    """Linear bases: |dx| / sqrt(D) for every dx. Low rank: in the mean over all directions from the start."""
    basis = make_basis(name, template, generator=seeded())
    start = basis.start().double()
    columns = jacobian(template, basis, start)
    gram = columns.T @ columns / len(columns) * basis.num_params
    assert float(gram.diagonal().mean()) == pytest.approx(1, abs=1e-6)
    if name in LINEAR:
        torch.testing.assert_close(gram, torch.eye(basis.num_params, dtype=torch.float64), rtol=0, atol=1e-6)


def test_plain_cosines_would_not_have_that_size() -> None:
    """Negative control, and the reason for the Gram-Schmidt: equal columns alone do not make equal steps."""
    rows, columns, _ = bases.template_places(frame())
    waves = bases.cosines(224, 6)
    plain = (waves[rows].unsqueeze(2) * waves[columns].unsqueeze(1)).flatten(1)
    values = torch.linalg.svdvals(plain / plain.norm(dim=0))
    assert values[0] / values[-1] > 100
    assert int((values < 0.02).sum()) == 4


@pytest.mark.parametrize("name", LINEAR)
def test_is_linear(name: str, template: PixelTemplate) -> None:
    assert nonlinearity(name, template) < 1e-12


def test_low_rank_is_not_linear(template: PixelTemplate) -> None:
    assert nonlinearity("low-rank", template) > 0.1


def nonlinearity(name: str, template: PixelTemplate) -> float:
    basis = make_basis(name, template, generator=seeded())
    a, b = torch.randn(2, basis.num_params, generator=seeded(3), dtype=torch.float64)
    apart = basis(2 * a - 3 * b) - (2 * basis(a) - 3 * basis(b))
    return float(apart.abs().max() / basis(a).abs().max())


@pytest.mark.parametrize(
    ("name", "size", "count"),
    [
        ("pixels", None, 23_280),
        ("dct", None, 32),
        ("dct", 4, 15),
        ("dct", 1, 1),
        ("blocks", None, 24),
        ("blocks", 14, 96),
        ("blocks", 2, 4),
        ("low-rank", None, 36),
        ("low-rank", 4, 72),
    ],
)
@pytest.mark.parametrize(("blend", "channels"), [(Add(), 3), (Over(opacity=None), 4)])
def test_number_of_numbers_on_the_papers_frame(
    name: str, size: int | None, count: int, blend: Add | Over, channels: int
) -> None:
    assert make_basis(name, frame(blend=blend), size=size, generator=seeded()).num_params == channels * count


@EVERY
def test_keeps_the_type_and_agrees_in_both(name: str, template: PixelTemplate) -> None:
    basis = make_basis(name, template, generator=seeded())
    x = torch.randn(basis.num_params, generator=seeded(1))
    assert basis(x).dtype == torch.float32
    assert basis(x.double()).dtype == torch.float64
    torch.testing.assert_close(basis(x).double(), basis(x.double()), rtol=1e-5, atol=1e-5)


@EVERY
def test_channels_do_not_mix(name: str) -> None:
    template = frame(5, 20, Over(opacity=None))
    basis = make_basis(name, template, generator=seeded())
    x = basis.start()
    x.view(4, -1)[3] += 1
    moved = basis(x).view(4, -1).abs().amax(dim=1)
    assert moved[:3].max() == 0
    assert moved[3] > 0


def test_dct_is_the_dct_of_scipy_on_a_whole_canvas() -> None:
    """Each number moves one coefficient, and all of the first 6x6 are there."""
    fft = pytest.importorskip("scipy.fft")
    template = full()
    basis = make_basis("dct", template, generator=seeded())
    calls = set()
    for x in torch.eye(basis.num_params, dtype=torch.float64)[:36]:
        plane = planes(template, basis(x))[0].numpy()
        result = np.abs(fft.dctn(plane, norm="ortho"))
        (place,) = np.argwhere(result > 1e-8 * result.max())
        calls.add(tuple(place.tolist()))
    assert calls == {(a, b) for a in range(6) for b in range(6)}


def roughness(template: PixelTemplate, theta: Tensor) -> float:
    """RMS slope of the first channel between neighbours in the template; about k for cos(pi k i / H)."""
    plane, inside = planes(template, theta)[0], planes(template, torch.ones_like(theta))[0] > 0
    down = (plane[1:] - plane[:-1])[inside[1:] & inside[:-1]]
    right = (plane[:, 1:] - plane[:, :-1])[inside[:, 1:] & inside[:, :-1]]
    power = (down.square().sum() + right.square().sum()) / plane.square().sum()
    return float(power.sqrt()) * plane.shape[0] / math.pi


def roughest(template: PixelTemplate) -> float:
    basis = make_basis("dct", template, generator=seeded())
    first = torch.eye(basis.num_params, dtype=torch.float64)[: basis.num_params // 3]
    return max(roughness(template, basis(x)) for x in first)


def test_dct_is_smooth_on_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    assert roughest(frame()) < 10
    assert roughest(frame(1)) < 10
    monkeypatch.setattr(bases, "_NEW", 0.0)
    assert roughest(frame()) > 15  # negative control: what is left of the last cosines is fine detail


def test_dct_starts_with_the_even_colour() -> None:
    template = frame()
    basis = make_basis("dct", template, generator=seeded())
    x = torch.zeros(basis.num_params)
    x[0] = 1
    first = basis(x).view(3, -1)[0]
    assert first.min() == pytest.approx(float(first.max()))


@pytest.mark.parametrize("place", ["top-left", "bottom-right", "3,7"])
def test_a_patch_has_waves_of_its_own(place: str) -> None:
    """On the waves of the canvas a small patch would hardly be more than one colour, wherever it lies."""
    template = make_template("patch", canvas_size=(64, 64), size=8, blend=Add(), place=place)
    basis = make_basis("dct", template, generator=seeded())
    whole = make_basis("dct", make_template("full", canvas_size=(8, 8), size=0, blend=Add()), generator=seeded())
    x = torch.randn(basis.num_params, generator=seeded())
    assert torch.equal(basis(x), whole(x))
    assert basis.num_params == 3 * 36


@pytest.mark.parametrize("size", [1, 3, 4, 7, 16])
def test_blocks_are_even_colours_on_a_grid(size: int) -> None:
    template = make_template("padding", canvas_size=SIZE, size=3, blend=Over())
    basis = make_basis("blocks", template, size=size, generator=seeded())
    x = torch.randn(basis.num_params, generator=seeded())
    plane = planes(template, basis(x))[0].numpy()
    inside = planes(template, torch.ones(template.num_params))[0].numpy() > 0
    colours = []
    for row in range(size):
        for column in range(size):
            rows = [i for i in range(SIZE[0]) if i * size // SIZE[0] == row]
            columns = [j for j in range(SIZE[1]) if j * size // SIZE[1] == column]
            block = plane[np.ix_(rows, columns)][inside[np.ix_(rows, columns)]]
            if block.size:
                assert np.ptp(block) == 0
                colours.append(block[0])
    assert len(set(colours)) == len(colours) == basis.num_params // 3


def test_low_rank_has_its_rank_and_no_more() -> None:
    template = full()
    for rank in (1, 2, 5):
        basis = make_basis("low-rank", template, size=rank, generator=seeded())
        x = torch.randn(basis.num_params, generator=seeded(), dtype=torch.float64)
        assert torch.linalg.matrix_rank(planes(template, basis(x)), rtol=1e-9).tolist() == [rank] * 3
    dct = make_basis("dct", template, generator=seeded())
    x = torch.randn(dct.num_params, generator=seeded(), dtype=torch.float64)
    assert torch.linalg.matrix_rank(planes(template, dct(x)), rtol=1e-9).min() > 5  # negative control


def test_low_rank_moves_its_second_factor_once_the_first_has_moved() -> None:
    template = full()
    basis = make_basis("low-rank", template, generator=seeded())
    start = basis.start().double()
    assert not torch.equal(start, make_basis("low-rank", template, generator=seeded(1)).start().double())
    basis.start().zero_()
    assert torch.equal(start, basis.start().double())
    second = (start != 0).double()
    assert torch.count_nonzero(basis(start + 0.1 * second)) == 0
    moved = start + 0.1 * (1 - second)
    assert float((basis(moved + 0.1 * second) - basis(moved)).abs().max()) > 1e-3


def test_low_rank_is_linear_between_its_knots() -> None:
    """25 pixels and 9 knots: every third pixel is a knot, and the ones between lie on the line."""
    template = full(25, 25)
    basis = make_basis("low-rank", template, size=1, generator=seeded())
    x = torch.randn(basis.num_params, generator=seeded(), dtype=torch.float64)
    row = planes(template, basis(x))[0, 7]
    bends = (row[2:] - 2 * row[1:-1] + row[:-2]).abs()
    knots = (torch.arange(1, 24) % 3) == 0
    assert bends[~knots].max() < 1e-12
    assert bends[knots].min() > 1e-6


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("pixels", 6, "has no size"),
        ("dct", 0, r"1\.\.16 frequencies per side.*got 0"),
        ("dct", 17, r"1\.\.16 frequencies per side.*got 17"),
        ("blocks", -1, r"1\.\.16 blocks per side"),
        ("blocks", 17, r"1\.\.16 blocks per side"),
        ("low-rank", 0, r"1\.\.9 ranks"),
        ("low-rank", 10, r"1\.\.9 ranks"),
    ],
)
def test_refuses_sizes_that_do_not_fit(name: str, size: int, message: str) -> None:
    template = make_template("padding", canvas_size=SIZE, size=3, blend=Add())
    with pytest.raises(ConfigError, match=message):
        make_basis(name, template, size=size, generator=seeded())


@EVERY
def test_takes_the_smallest_template(name: str) -> None:
    template = make_template("patch", canvas_size=SIZE, size=1, blend=Add())
    basis = make_basis(name, template, generator=seeded())
    x = torch.ones(basis.num_params)
    assert basis(x).count_nonzero() == 3


@EVERY
def test_names_the_shape_that_it_wants(name: str, template: PixelTemplate) -> None:
    basis = make_basis(name, template, generator=seeded())
    with pytest.raises(ShapeError, match=rf"expected x \({basis.num_params},\), got \(5,\)"):
        basis(torch.zeros(5))


def test_unknown_basis_is_suggested() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'blocks'"):
        make_basis("block", frame(), generator=seeded())
