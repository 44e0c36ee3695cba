"""The figures of a report: they draw the numbers they are given; their SVG stands alone and never changes."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from pixprompt.plots import (
    PointPanel,
    Rung,
    Track,
    amplified,
    confusion_figure,
    curves_figure,
    heat_overlay,
    ladder_figure,
    on_checkers,
    points_figure,
    queries_of,
    spending_figure,
    to_svg,
)
from pixprompt.plots.style import BLUE, INK

from ..images import make_prompt

RUNGS = [Rung("no prompt", 0.25, 0.2, (0.15, 0.27)), Rung("with", 0.5, None, None), Rung("other", None, None, None)]


def test_the_ladder_draws_intervals_dots_and_rings() -> None:
    axes = ladder_figure(RUNGS).axes[0]
    drawn = [(list(map(float, np.atleast_1d(line.get_xdata()))), float(line.get_ydata()[0])) for line in axes.lines]
    assert ([0.15, 0.27], 0.0) in drawn
    assert ([0.2], 0.0) in drawn
    assert ([0.25], 0.0) in drawn
    assert ([0.5], 1.0) in drawn
    assert not [place for place, row in drawn if row == 2.0]
    assert [text.get_text() for text in axes.texts] == ["no prompt", "20.0%", "with", "", "other", "not scored"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first rung on top


def test_accuracy_against_queries_and_cost() -> None:
    tracks = [Track("a", [100, 200], [0.5, 0.6], 2.0), Track("b", [50, 400], [0.1, 0.2], 10.0)]
    left, right = spending_figure(tracks).axes[0], spending_figure(tracks, by_cost=True).axes[0]
    assert [list(line.get_xdata()) for line in left.lines] == [[100, 200], [50, 400]]
    assert [list(line.get_xdata()) for line in right.lines] == [[0.2, 0.4], [0.5, 4.0]]


def test_curves_by_queries_leave_out_what_was_not_measured() -> None:
    history = [{"queries": 10 * n, "val_loss": 1.0, "val_accuracy": 0.1 * n} for n in (1, 2, 3)]
    left, right = curves_figure(history, {}).axes
    assert [list(line.get_xdata()) for line in right.lines] == [[10, 20, 30]]
    assert left.get_xlabel() == "queries"
    assert curves_figure([{"epoch": 1, "train_loss": 1.0, "images": 9}], {}).axes[0].get_xlabel() == "epoch"
    assert (queries_of(history[0]), queries_of({"images": 7}), queries_of({})) == (10, 7, None)


def test_points_keep_their_classes() -> None:
    points, labels = np.arange(20.0).reshape(10, 2), np.arange(10) % 2
    left, right = points_figure([PointPanel("a", points), PointPanel("b", points[::-1])], labels, ["a", "b"]).axes
    assert [len(group.get_offsets()) for group in left.collections] == [5, 5]
    assert np.array_equal(left.collections[0].get_offsets(), points[0::2])
    assert np.array_equal(right.collections[0].get_offsets(), points[::-1][0::2])


def test_a_map_leaves_the_image_where_it_is_zero() -> None:
    image = np.random.default_rng(0).integers(0, 256, (12, 8, 3), dtype=np.uint8)
    before, heat = image.copy(), np.zeros((3, 2))
    assert np.array_equal(heat_overlay(image, heat, smooth=True), image)
    heat[1, 0] = 1.0
    laid = heat_overlay(image, heat, smooth=False)
    changed = (laid != image).any(-1)
    assert changed[4:8, :4].mean() > 0.95
    changed[4:8, :4] = False
    assert not changed.any()
    assert np.array_equal(image, before)


def test_the_amplified_prompt_reaches_an_extreme_and_the_free_part_stays_free() -> None:
    prompt = make_prompt(blend="add")
    prompt.rgba[..., :3] = 128 + (prompt.rgba[..., :3] % 11).astype(int) - 5
    prompt.rgba[0, 0] = (138, 128, 128, 255)
    prompt.rgba[6:-6, 6:-6] = 0
    pixels, factor = amplified(prompt)
    assert factor == pytest.approx(127 / 5)  # one pixel in a thousand is stronger, and cut off
    assert pixels[0, 0].tolist() == [255, 128, 128]
    assert pixels[1, 1].tolist() == np.rint(128 + 25.4 * (prompt.rgba[1, 1, :3].astype(float) - 128)).tolist()
    assert np.unique(pixels[8:-8, 8:-8]).tolist() == [216]
    assert amplified(make_prompt(blend="over"))[1] == 1.0
    assert set(np.unique(on_checkers(prompt)[8:-8, 8:-8])) == {205, 235}


def svgs() -> dict[str, str]:
    names = ["<script>alert(1)</script>", "$x^2$ & -- >", "b\x01\ud800"]
    counts, points = np.arange(9).reshape(3, 3), np.arange(12.0).reshape(6, 2)
    figures = {
        "ladder": ladder_figure([Rung(names[0], 0.1, 0.2, (0.1, 0.3)), Rung(names[1], None, None, None)]),
        "confusion": confusion_figure({"before": counts, "after": counts.T}, names),
        "scatter": points_figure([PointPanel("a", points)], np.arange(6) % 3, names),
        "spending": spending_figure([Track(names[0], [1], [0.5]), Track(names[1], [2], [0.5])]),
    }
    return {name: to_svg(figure) for name, figure in figures.items()}


def test_svg_is_the_same_every_time_and_stands_alone() -> None:
    figures = svgs()
    assert figures == svgs()
    for text in figures.values():
        root = ET.fromstring(text)
        tags = {str(node.tag).rpartition("}")[2] for node in root.iter()}
        assert not tags & {"script", "foreignObject", "metadata", "a"}
        assert "DOCTYPE" not in text
        links = [value for node in root.iter() for key, value in node.attrib.items() if key.endswith("href")]
        assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
        assert "prefers-color-scheme:dark" in text
        body = text[text.index("</style>") :]
        assert INK not in body
        assert BLUE not in body
        assert "var(--c" in body
