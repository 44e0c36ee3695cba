"""The pictures of a run: they show what they should, and stand odd class names and short histories."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pixprompt import plots
from pixprompt.core import PixpromptError
from pixprompt.plots import Preview, confusion, draw_curves, draw_preview

from .images import make_prompt

RUNGS = {"no_prompt": {"val": 0.25, "test": 0.2}, "output_only": {"val": 0.5, "test": 0.4}}


def line(epoch: int) -> dict[str, float]:
    loss = 1.0 / epoch
    return {"epoch": epoch, "train_loss": loss, "val_loss": loss, "train_accuracy": 1 - loss, "val_accuracy": 1 - loss}


def preview(classes: list[str], shown: int = 6, blend: str = "over") -> Preview:
    rng = np.random.default_rng(0)
    before = rng.integers(0, 256, (shown, 32, 32, 3), dtype=np.uint8)
    prompt = make_prompt(blend=blend)
    labels = np.arange(40) % len(classes)
    return Preview(
        prompt=prompt,
        classes=classes,
        before=before,
        after=prompt.overlay(before),
        shown=np.arange(shown),
        labels=labels,
        guesses_before=np.zeros(40, np.int64),
        guesses_after=labels,
    )


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were drawn, still with their parts."""
    made: list[Figure] = []
    save = plots.save_png
    monkeypatch.setattr(plots, "save_png", lambda figure, path, dpi: (made.append(figure), save(figure, path, dpi=dpi)))
    return made


def is_drawn(path: Path) -> bool:
    with Image.open(path) as image:
        return image.format == "PNG" and min(image.size) > 200 and np.asarray(image.convert("L")).std() > 5


def test_curves_show_both_splits_and_the_rungs_without_a_prompt(tmp_path: Path, figures: list[Figure]) -> None:
    draw_curves(tmp_path / "c.png", [line(1), line(2), line(4)], RUNGS)
    assert is_drawn(tmp_path / "c.png")
    left, right = figures[0].axes
    assert [list(drawn.get_ydata()) for drawn in left.lines] == [[1.0, 0.5, 0.25]] * 2
    assert [drawn.get_label() for drawn in right.lines[:2]] == ["train", "val"]
    assert [set(drawn.get_ydata()) for drawn in right.lines[2:]] == [{0.25}, {0.5}]


@pytest.mark.parametrize(("history", "rungs"), [([], {}), ([line(1)], {"no_prompt": {"val": None, "test": 0.1}})])
def test_a_short_history_and_missing_rungs_are_drawn_too(tmp_path: Path, history: list, rungs: dict) -> None:
    draw_curves(tmp_path / "c.png", history, rungs)
    assert is_drawn(tmp_path / "c.png")


def test_confusion_counts_rows_of_true_classes() -> None:
    labels, guesses = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 0, 2])
    assert confusion(labels, guesses, 4).tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]
    assert confusion(labels, guesses, 4).tolist() != confusion(guesses, labels, 4).tolist()  # negative control


@pytest.mark.parametrize("blend", ["over", "add"])
def test_the_preview_shows_prompt_images_and_confusion(tmp_path: Path, figures: list[Figure], blend: str) -> None:
    draw_preview(tmp_path / "p.png", preview(["a", "b", "c", "d"], blend=blend))
    assert is_drawn(tmp_path / "p.png")
    titles = [axes.get_title() for axes in figures[0].axes]
    assert any("padding" in title and blend in title for title in titles)
    assert "without prompt: 25.0% of 40" in titles
    assert "with prompt: 100.0% of 40" in titles
    assert any("change +75.0 points\n95% paired interval" in title for title in titles)
    shown = images_of(figures[0])
    assert len(shown) == 1 + 12 + 2  # the prompt, images without and with it, confusions
    assert np.array_equal(make_prompt(blend=blend).overlay(np.stack(shown[1:7])), np.stack(shown[7:13]))


def images_of(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def test_a_prompt_that_was_not_kept_is_not_shown(tmp_path: Path, figures: list[Figure]) -> None:
    empty = make_prompt()
    object.__setattr__(empty, "template", {"name": "none", "params": {}})
    draw_preview(tmp_path / "p.png", replace(preview(["a", "b"]), prompt=empty))
    assert len(images_of(figures[0])) == 6 + 1  # each image once, one confusion
    assert any("No prompt kept" in text for text in texts_of(figures[0]))
    draw_preview(tmp_path / "p.png", preview(["a", "b"]))
    assert not any("No prompt kept" in text for text in texts_of(figures[1]))  # negative control


def texts_of(figure: Figure) -> list[str]:
    return [text.get_text() for part in (figure, *figure.subfigs) for text in part.texts] + [
        part._suptitle.get_text() for part in figure.subfigs if part._suptitle is not None
    ]


def test_a_method_without_a_picture_shows_images_with_both_predictions(tmp_path: Path, figures: list[Figure]) -> None:
    made = replace(preview(["a", "b"]), prompt=None, after=None, names=("without, text", "vpt-deep"))
    draw_preview(tmp_path / "p.png", made)
    assert len(images_of(figures[0])) == 6 + 2
    told = [text.get_text() for text in figures[0].axes[0].texts]
    assert told == ["without, text: ✓ a", "vpt-deep: ✓ a"]


def test_a_legend_hides_no_curve(tmp_path: Path, figures: list[Figure]) -> None:
    draw_curves(tmp_path / "c.png", [line(1), line(2), line(4)], RUNGS)
    for axes in figures[0].axes:
        assert axes.get_legend().get_window_extent().y0 >= axes.get_window_extent().y1 - 1


@pytest.mark.parametrize(
    "classes",
    [
        ["$x^2$", "100%", "<b>", "zwölf"],
        ["$5_$10 bill", "a$x_$b", "고양이", "猫"],
        ["$\\undefined{", "_", "a$b", "$"],
        ["a very long class name that would not fit", "b", "c", "d"],
        ["caf\udce9", "a\x01b", "", " "],
        [f"class {number}" for number in range(40)],
    ],
)
def test_odd_long_and_many_class_names_are_drawn(tmp_path: Path, classes: list[str]) -> None:
    draw_preview(tmp_path / "p.png", preview(classes, shown=2))
    assert is_drawn(tmp_path / "p.png")


def test_one_image_and_no_image_of_a_class(tmp_path: Path) -> None:
    draw_preview(tmp_path / "p.png", preview([f"{number}" for number in range(3)], shown=1))
    assert is_drawn(tmp_path / "p.png")


def test_an_unwritable_place_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(PixpromptError, match="cannot write"):
        draw_curves(tmp_path / "none" / "c.png", [line(1)], RUNGS)
