"""Pictures in rows and columns, and points in panels: every cell holds what it is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from pixprompt.plots import save_png
from pixprompt.plots.gallery import Cell, Column, Mark, gallery_figure, heat_pixels
from pixprompt.plots.scatter import PointPanel, points_figure
from pixprompt.plots.style import BLUE, ORANGE

PIXELS = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def test_titles_stand_above_the_first_row_and_words_below_each_picture() -> None:
    rows = [[Cell(PIXELS, f"is {row}"), Cell(PIXELS // 2, f"said {row}", ORANGE)] for row in "ab"]
    axes = gallery_figure([Column("image"), Column("vpt-deep", BLUE)], rows, "a note").axes
    assert [each.get_title() for each in axes] == ["image", "vpt-deep", "", ""]
    assert [each.get_xlabel() for each in axes] == ["is a", "said a", "is b", "said b"]
    assert axes[1].title.get_color() == BLUE
    assert axes[3].xaxis.label.get_color() == ORANGE
    assert np.array_equal(axes[2].images[0].get_array(), PIXELS)
    assert np.array_equal(axes[3].images[0].get_array(), PIXELS // 2)


def test_a_cell_without_a_picture_says_why() -> None:
    reason = "no Grad-CAM: the net has no convolution or token layer with places that the answer depends on."
    axes = gallery_figure([Column("x")], [[Cell(None, "daisy 50%", reason=reason)]]).axes[0]
    assert " ".join(axes.texts[0].get_text().split()) == reason
    assert max(map(len, axes.texts[0].get_text().split("\n"))) <= 30
    assert not axes.images


def test_boxes_lie_on_their_token() -> None:
    marks = (Mark(1, 3, (2, 4), BLUE), Mark(1, 1, (4, 4), ORANGE, outset=0.25))
    axes = gallery_figure([Column("x")], [[Cell(PIXELS, marks=marks)]]).axes[0]
    first, second = axes.patches
    assert (first.get_xy(), first.get_width(), first.get_height()) == ((47.5, 31.5), 16, 32)
    assert (second.get_xy(), second.get_width(), second.get_height()) == ((11.5, 11.5), 24, 24)


def test_a_map_goes_from_dark_to_bright_and_a_flat_one_stays_dark() -> None:
    pixels = heat_pixels(np.array([[-0.2, 0.0], [0.1, 0.6]]))
    brightness = pixels.astype(int).sum(-1).flatten()
    assert (np.diff(brightness) > 0).all()
    assert brightness[0] < 20
    assert np.array_equal(heat_pixels(np.full((2, 2), 0.7)), heat_pixels(np.zeros((2, 2))))


def test_panels_wrap_and_share_one_legend() -> None:
    points, labels = np.arange(24.0).reshape(12, 2), np.arange(12) % 3
    panels = [PointPanel(f"run {number}", points + number, f"silhouette {number}") for number in range(5)]
    figure = points_figure(panels, labels, ["a", "b", "c"])
    assert [axes.get_title() for axes in figure.axes] == [f"run {number}" for number in range(5)]
    assert [axes.get_xlabel() for axes in figure.axes] == [f"silhouette {number}" for number in range(5)]
    assert np.array_equal(figure.axes[4].collections[1].get_offsets(), points[1::3] + 4)
    assert len(figure.legends) == 1
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "c"]
    assert points_figure(panels, labels, ["a", "b", "c"], note="t-SNE").get_suptitle() == "t-SNE"


def test_a_scale_of_the_colours_is_drawn_where_there_are_maps() -> None:
    cells = [[Cell(PIXELS), Cell(PIXELS)]]
    columns = [Column("image"), Column("map")]
    assert len(gallery_figure(columns, cells).axes) == 2
    assert gallery_figure(columns, cells, heat_key="share").axes[2].get_xlabel() == "share"


def test_a_file_is_a_picture_of_the_figures_size_and_draws_names_as_they_are(tmp_path: Path) -> None:
    figure = gallery_figure([Column("cost $x_1$ and $")], [[Cell(PIXELS, "a_b^c $")]])
    save_png(figure, tmp_path / "made.png")
    with Image.open(tmp_path / "made.png") as image:
        assert image.size == tuple((figure.get_size_inches() * 150).round().astype(int))
    assert [path.name for path in tmp_path.iterdir()] == ["made.png"]
