"""The pictures of a run: they show what they should, and stand odd class names and short histories."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pixprompt.core import PixpromptError
from pixprompt.plots import Preview, confusion, curves_figure, preview_figure, save_png

from ..images import make_prompt

RUNGS = {"no_prompt": {"val": 0.25, "test": 0.2}, "output_only": {"val": 0.5, "test": 0.4}}


def line(epoch: int) -> dict[str, float]:
    loss = 1.0 / epoch
    return {"epoch": epoch, "train_loss": loss, "val_loss": loss, "train_accuracy": 1 - loss, "val_accuracy": 1 - loss}


def preview(classes: list[str], count: int = 6, blend: str = "over") -> Preview:
    rng = np.random.default_rng(0)
    before = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    prompt = make_prompt(blend=blend)
    labels = np.arange(40) % len(classes)
    return Preview(
        prompts=(prompt,),
        classes=classes,
        before=before,
        after=(prompt.overlay(before),),
        shown=np.arange(count),
        labels=labels,
        guesses_before=np.zeros(40, np.int64),
        guesses_after=labels,
    )


def is_drawn(figure: Figure, folder: Path) -> bool:
    save_png(figure, folder / "figure.png", dpi=100)
    with Image.open(folder / "figure.png") as image:
        return image.format == "PNG" and min(image.size) > 200 and np.asarray(image.convert("L")).std() > 5


def test_curves_show_both_splits_and_the_rungs_without_a_prompt(tmp_path: Path) -> None:
    figure = curves_figure([line(1), line(2), line(4)], RUNGS)
    assert is_drawn(figure, tmp_path)
    left, right = figure.axes
    assert [list(drawn.get_ydata()) for drawn in left.lines] == [[1.0, 0.5, 0.25]] * 2
    assert [drawn.get_label() for drawn in right.lines[:2]] == ["train", "val"]
    assert [set(drawn.get_ydata()) for drawn in right.lines[2:]] == [{0.25}, {0.5}]


@pytest.mark.parametrize(("history", "rungs"), [([], {}), ([line(1)], {"no_prompt": {"val": None, "test": 0.1}})])
def test_a_short_history_and_missing_rungs_are_drawn_too(tmp_path: Path, history: list, rungs: dict) -> None:
    assert is_drawn(curves_figure(history, rungs), tmp_path)


def test_confusion_counts_rows_of_true_classes() -> None:
    labels, guesses = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 0, 2])
    assert confusion(labels, guesses, 4).tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]
    assert confusion(labels, guesses, 4).tolist() != confusion(guesses, labels, 4).tolist()  # negative control


@pytest.mark.parametrize("blend", ["over", "add"])
def test_the_preview_shows_prompt_images_and_confusion(blend: str) -> None:
    figure = preview_figure(preview(["a", "b", "c", "d"], blend=blend))
    titles = [axes.get_title() for axes in figure.axes]
    assert any("padding" in title and blend in title for title in titles)
    assert "without prompt: 25.0% of 40" in titles
    assert "with prompt: 100.0% of 40" in titles
    assert any("change +75.0 points\n95% paired interval" in title for title in titles)
    pictures = images_of(figure)
    assert len(pictures) == 1 + 12 + 2  # the prompt, images without and with it, confusions
    assert np.array_equal(make_prompt(blend=blend).overlay(np.stack(pictures[1:7])), np.stack(pictures[7:13]))


def test_the_preview_shows_every_page_of_a_committee(tmp_path: Path) -> None:
    single = preview(["a", "b", "c"])
    pages = (single.prompts[0], make_prompt(blend="add"), make_prompt(blend="over"))
    figure = preview_figure(replace(single, prompts=pages, after=tuple(page.overlay(single.before) for page in pages)))
    pictures = images_of(figure)
    assert len(pictures) == 3 + 4 * 6 + 2  # the pages, images without and under each, confusions
    assert np.array_equal(pages[1].overlay(np.stack(pictures[3:9])), np.stack(pictures[15:21]))
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel().startswith("view")] == [
        "view 1",
        "view 2",
        "view 3",
    ]
    assert is_drawn(figure, tmp_path)


def images_of(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def test_a_prompt_that_was_not_kept_is_not_shown() -> None:
    empty = replace(make_prompt(), template={"name": "none", "params": {}})
    figure = preview_figure(replace(preview(["a", "b"]), prompts=(empty,), none_kept="no prompt kept: none won"))
    assert len(images_of(figure)) == 6 + 1  # each image once, one confusion
    assert any("No prompt kept: none won." in text for text in texts_of(figure))
    assert not any("No prompt kept" in text for text in texts_of(preview_figure(preview(["a", "b"]))))


def texts_of(figure: Figure) -> list[str]:
    titles = [part.get_suptitle() for part in figure.subfigs]
    return titles + [text.get_text() for part in (figure, *figure.subfigs) for text in part.texts]


def test_a_method_without_a_picture_shows_images_with_both_predictions() -> None:
    unprompted = replace(preview(["a", "b"]), prompts=(), after=(), names=("without, text", "vpt-deep"))
    figure = preview_figure(unprompted)
    assert len(images_of(figure)) == 6 + 2
    assert [text.get_text() for text in figure.axes[0].texts] == ["without, text: ✓ a", "vpt-deep: ✓ a"]


def test_a_legend_hides_no_curve() -> None:
    figure = curves_figure([line(1), line(2), line(4)], RUNGS)
    figure.draw_without_rendering()
    for axes in figure.axes:
        assert axes.get_legend().get_window_extent().y0 >= axes.get_window_extent().y1 - 1


ODD = [
    *(
        "$x^2$",
        "100%",
        "<b>",
        "zwölf",
        "$5_$10 bill",
        "a$x_$b",
        "고양이",
        "猫",
        "$\\undefined{",
        "_",
        "a$b",
        "$",
        "",
        " ",
    ),
    *("a very long class name that would not fit", "caf\udce9", "a\x01b"),
]


@pytest.mark.parametrize("classes", [ODD, [f"class {number}" for number in range(40)]], ids=["odd", "many"])
def test_odd_long_and_many_class_names_are_drawn(tmp_path: Path, classes: list[str]) -> None:
    assert is_drawn(preview_figure(preview(classes, count=len(classes) // 4)), tmp_path)


def test_one_image_and_no_image_of_a_class(tmp_path: Path) -> None:
    assert is_drawn(preview_figure(preview([f"{number}" for number in range(3)], count=1)), tmp_path)


def test_an_unwritable_place_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(PixpromptError, match="cannot write"):
        save_png(curves_figure([line(1)], RUNGS), tmp_path / "none" / "c.png")
