"""Means, intervals, differences and comparisons by hand; and what is drawn and written of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixprompt.bench import draw as drawing
from pixprompt.bench.benchmark import parse_benchmark
from pixprompt.bench.draw import figure_of
from pixprompt.bench.page import write_page
from pixprompt.bench.summary import summarize
from pixprompt.bench.text import long_rows, wide_rows
from pixprompt.intervals import combined_interval, mean_interval, paired_difference, wilson

FILE: dict[str, Any] = {
    "title": "<b>toy</b>",
    "baseline": "old",
    "data": {"a": {"data": "digits"}, "b": {"data": "digits"}},
    "methods": {"old": {}, "new": {}, "gain": {"minus": ["new", "old"]}},
    "published": [{"source": "s", "certainty": "derived", "rows": {"a": {"new": 50.0}, "mean": {"gain": 3.0}}}],
}


def line(right: list[int], *, saved: float | None = None, images: str = "same") -> dict[str, Any]:
    share = sum(right) / len(right)
    bits = np.packbits(np.array(right, bool)).tobytes().hex()
    score = {"test": share}
    return {
        "name": "n", "run": "r", "when": "w", "machine": "m", "versions": {},
        "result": {"accuracy": {"prompt_float": score, "prompt_png": {"test": share if saved is None else saved}},
                   "best": "prompt", "counts": {"test": len(right)}},
        "test": {"images": images, "right": {"prompt_float": bits}},
    }  # fmt: skip


def summary_of(values: dict[str, Any], lines: dict[str, dict[str, Any]]) -> Any:
    benchmark = parse_benchmark("toy", values)
    cells = [(cell, cell.name) for cell in benchmark.cells()]
    return benchmark, cells, summarize(benchmark, cells, lines)


OLD, NEW = [1, 1, 0, 0, 0, 0, 0, 0, 0, 0], [1, 0, 1, 1, 1, 0, 0, 0, 0, 0]


def test_one_seed_has_the_interval_of_a_share_and_is_compared_by_counts() -> None:
    lines = {"a, old, seed 0": line(OLD), "a, new, seed 0": line(NEW, saved=0.2)}
    _, _, summary = summary_of(FILE, lines)
    new = summary["a", "new"]
    assert (new.mean, new.interval, new.published, new.certainty) == (0.4, wilson(4, 10), 0.5, "derived")
    assert new.gain == pytest.approx((0.2, *paired_difference(3, 1, 1, 10)))
    assert new.kept == 0.2
    assert summary["a", "old"].kept is None
    assert summary["a", "gain"].mean == pytest.approx(0.2)
    assert summary["a", "gain"].interval == pytest.approx(paired_difference(3, 1, 1, 10))
    assert summary["b", "new"].mean is None
    assert summary["mean", "new"].missing == 1
    assert summary["mean", "gain"].published == pytest.approx(0.03)
    assert summary["mean", "new"].gain is None
    assert (summary.done, summary.total) == (2, 4)


def test_a_mean_over_data_sets_has_the_interval_of_all_their_images() -> None:
    lines = {f"{data}, {name}, seed 0": line(right) for data, name, right in
             (("a", "old", OLD), ("a", "new", NEW), ("b", "old", OLD), ("b", "new", OLD))}  # fmt: skip
    _, _, summary = summary_of(FILE, lines)
    shares = [(0.4, *wilson(4, 10)), (0.2, *wilson(2, 10))]
    assert summary["mean", "new"].interval == pytest.approx(combined_interval(shares)[1:])
    gains = [(0.2, *paired_difference(3, 1, 1, 10)), (0.0, *paired_difference(0, 0, 2, 10))]
    assert summary["mean", "new"].gain == pytest.approx(combined_interval(gains))
    assert summary["mean", "gain"].interval == summary["mean", "new"].gain[1:]


def test_three_seeds_have_intervals_by_student_and_other_images_are_not_compared() -> None:
    lines = {f"a, old, seed {seed}": line(OLD) for seed in range(3)}
    lines |= {f"a, new, seed {seed}": line(right) for seed, right in enumerate((NEW, NEW, OLD))}
    _, _, summary = summary_of({**FILE, "seeds": [0, 1, 2]}, lines)
    new = summary["a", "new"]
    values = (0.4, 0.4, 0.2)
    reach = 4.303 * math.sqrt(sum((value - 1 / 3) ** 2 for value in values) / 2 / 3)
    assert new.interval == pytest.approx((1 / 3 - reach, 1 / 3 + reach))
    assert new.gain == pytest.approx((2 / 15, *mean_interval([0.2, 0.2, 0.0])))
    other = {name: line(NEW, images="other") if "new" in name else each for name, each in lines.items()}
    assert summary_of({**FILE, "seeds": [0, 1, 2]}, other)[2]["a", "new"].gain is None


def test_groups_are_rows_and_their_mean_counts_each_once() -> None:
    data = {name: {"data": "digits"} for name in "abc"}
    values = {**FILE, "data": data, "groups": {"first": ["a", "b"], "last": ["c"]}, "published": []}
    lines = {f"{name}, new, seed 0": line(right) for name, right in zip("abc", (NEW, OLD, OLD), strict=True)}
    summary = summary_of(values, lines)[2]
    assert [row.label for row in summary.rows] == ["a", "b", "c", "first", "last", "mean of the groups"]
    assert summary["first", "new"].mean == pytest.approx(0.3)
    assert summary["mean of the groups", "new"].mean == pytest.approx(0.25)
    only = summary_of({**values, "mean_over": "data"}, lines)[2]
    assert [row.label for row in only.rows] == ["first", "last"]
    vary = {"1": {"size": 1}, "2": {"size": 2}}
    one = {**values, "data": {"a": data["a"]}, "groups": {}, "mean_over": "data", "vary": vary}
    summary = summary_of(one, {"a, new, 1, seed 0": line(NEW)})[2]
    assert [row.label for row in summary.rows] == ["1", "2"]
    assert summary["1", "new"].mean == pytest.approx(0.4)


def test_trainings_of_a_search_count_as_seeds() -> None:
    searched = line(NEW)
    searched["result"]["search"] = {"seeds": [{"test": 0.4}, {"test": 0.6}]}
    value = summary_of(FILE, {"a, new, seed 0": searched})[2]["a", "new"]
    assert value.seeds == (0.4, 0.6)
    assert value.interval == pytest.approx(mean_interval([0.4, 0.6]))


def test_tables_say_what_was_measured_published_and_kept() -> None:
    lines = {"a, old, seed 0": line(OLD), "a, new, seed 0": line(NEW, saved=0.2)}
    _, _, summary = summary_of(FILE, lines)
    assert wide_rows(summary)[1] == ["a", "20.0", "40.0 [50.0]", "20.0"]
    rows = {(row[0], row[1]): row[2:] for row in long_rows(summary)}
    low, high = (f"{100 * end:.1f}" for end in wilson(4, 10))
    gains = paired_difference(3, 1, 1, 10)
    against = f"+20.0 ({100 * gains[0]:+.1f} to {100 * gains[1]:+.1f})"
    assert rows["a", "new"] == ["40.0", f"{low} to {high}", "50.0 (derived)", "-10.0", "20.0", against]


@pytest.mark.parametrize("draw", ["dots", "bars", "lines", "scatter"])
def test_every_drawing_shows_what_was_measured(draw: str) -> None:
    lines = {f"{size}, {name}, {method}, seed 0": line(right) for size in ("1", "50") for name in "ab"
             for method, right in (("old", OLD), ("new", NEW))}  # fmt: skip
    vary = {"1": {"size": 1}, "50": {"size": 50}}
    changes = {"x": ["old"], "y": "gain"} if draw == "scatter" else {}
    values = {**FILE, "vary": vary, "draw": draw, "published": [], **changes}
    lines = {", ".join([name, method, size, seed]): each for key, each in lines.items()
             for size, name, method, seed in [key.split(", ")]}  # fmt: skip
    benchmark, _, summary = summary_of(values, lines)
    figure = figure_of(benchmark, summary)
    assert figure is not None
    drawn = [axes for axes in figure.axes if axes.has_data()]
    assert drawn
    shown = {round(float(y), 6) for axes in drawn for each in axes.lines for y in np.ravel(each.get_ydata())}
    across = {round(float(x), 6) for axes in drawn for each in axes.lines for x in np.ravel(each.get_xdata())}
    widths = {round(bar.get_width(), 6) for axes in drawn for bar in axes.patches}
    assert {0.2, 0.4} <= {"dots": across, "bars": widths | {0.4}, "lines": shown, "scatter": shown | across | {0.4}}[
        draw
    ]
    assert figure_of(benchmark, summary_of(values, {})[2]) is None


def test_the_page_shows_all_and_escapes_it(tmp_path: Path) -> None:
    lines = {"a, old, seed 0": line(OLD), "a, new, seed 0": line(NEW)}
    benchmark, cells, summary = summary_of(FILE, lines)
    failures = [{"name": "b", "error": "Error: <script>", "attempt": 2, "when": "now"}]
    write_page(benchmark, summary, figure_of(benchmark, summary), [], lines, cells, failures, tmp_path)
    text = (tmp_path / "index.html").read_text()
    assert "40.0 [50.0]" in text
    assert "&lt;b&gt;toy&lt;/b&gt;" in text
    assert "<script>" not in text
    assert "Error: &lt;script&gt;" in text
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text


def test_without_a_data_axis_methods_are_compared_too() -> None:
    lines = {"old, seed 0": line(OLD), "new, seed 0": line(NEW)}
    _, _, summary = summary_of({"title": "t", "baseline": "old", "methods": {"old": {}, "new": {}}}, lines)
    assert summary["all", "new"].gain == pytest.approx((0.2, *paired_difference(3, 1, 1, 10)))


def test_pictures_of_two_sizes_are_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each shows the methods of its own cells, in a file of its name."""
    vary = {"1/1": {"size": 1}, "50": {"size": 50}}
    values = {**FILE, "vary": vary, "draw": "saliency", "published": [], "data": {"a b": {"data": "digits"}}}
    benchmark = parse_benchmark("toy", values)
    cells = [(cell, cell.name.replace("/", "-")) for cell in benchmark.cells()]
    lines = {key: line(OLD) for _, key in cells}
    for key in lines:
        (tmp_path / "runs" / key).mkdir(parents=True)
        (tmp_path / "runs" / key / "adapter.safetensors").touch()

    def draw_pictures(runs: list[Path], out: Path) -> None:
        out.mkdir()
        names = [f"{run.name}: {run.resolve().name}" for run in runs]
        (out / "gradcam.png").write_text("\n".join(names))

    monkeypatch.setattr("pixprompt.report.figures.draw.draw_pictures", draw_pictures)
    summary = summarize(benchmark, cells, lines)
    drawing.draw(benchmark, cells, lines, summary, [], tmp_path, tmp_path / "runs")
    assert (tmp_path / "a-b-1-1.png").read_text() == "old: a b, old, 1-1, seed 0\nnew: a b, new, 1-1, seed 0"
    assert (tmp_path / "a-b-50.png").read_text() == "old: a b, old, 50, seed 0\nnew: a b, new, 50, seed 0"
