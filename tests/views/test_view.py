"""Views: each is one prompt file, to the byte; what they do is what any image tool would do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

from pixprompt.canvas import ASPECTS, Canvas, Tone
from pixprompt.core import ConfigError, PromptError
from pixprompt.prompt import load, load_committee
from pixprompt.views import Patch, Pattern, View, catalogue

from ..images import picture
from .strategies import views

BASE = Canvas((40, 40), crop_pct=0.875)
BLACK, WHITE = Pattern((0, 0, 0)), Pattern((255, 255, 255))


def shown(view: View, image: Image.Image | None = None, base: Canvas = BASE) -> np.ndarray:
    return np.asarray(view.prompt(base).apply(image or picture()))


# Round trips ---------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(view=views)
def test_a_view_survives_its_json(view: View) -> None:
    assert View.from_json(json.loads(json.dumps(view.to_json()))) in (view, _reduced(view))


def _reduced(view: View) -> View:
    """A pattern says only what shows: the second colour of a plain one is not kept."""
    return View.from_json(view.to_json())


@settings(max_examples=100, deadline=None)
@given(view=views)
def test_a_view_is_one_file_that_applies_to_the_byte(view: View, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("view")
    prompt = view.prompt(BASE, model="m", output={"kind": "given", "classes": ["a"]}, seed=3)
    prompt.save(folder / "a.png")
    again = load(folder / "a.png")
    again.save(folder / "b.png")
    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()
    assert again.canvas == prompt.canvas
    assert again.metadata() == prompt.metadata()
    for image in (picture(), picture(40, 40), picture(9, 70)):
        assert np.array_equal(np.asarray(again.apply(image)), np.asarray(prompt.apply(image)))
    saved = View.from_json(again.template["params"])
    assert np.array_equal(shown(saved), shown(view))


@settings(max_examples=60, deadline=None)
@given(view=views)
def test_any_tool_that_composites_gives_what_apply_gives(view: View) -> None:
    prompt, image = view.prompt(BASE), picture()
    under = Image.fromarray(prompt.canvas.make(image)).convert("RGBA")
    composite = Image.alpha_composite(under, Image.fromarray(prompt.rgba))
    assert np.array_equal(np.asarray(composite)[..., :3], np.asarray(prompt.apply(image)))


def test_a_centred_frame_is_a_file_that_the_first_schema_holds() -> None:
    prompt = View(size=0.7, frame=WHITE).prompt(BASE)
    assert prompt.metadata()["schema"] == 1
    assert (prompt.canvas.fit, prompt.canvas.frame) == ("shrink", 6)
    for view in (View(size=0.7, x=0.0), View(flip=True), View(rotation=90.0), View(tone=Tone(invert=True))):
        metadata = view.prompt(BASE).metadata()
        assert (metadata["schema"], metadata["min_version"]) == (2, "0.5")


# What views do -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aspect", ASPECTS)
def test_the_plain_view_is_the_canvas_of_the_model(aspect: str) -> None:
    base = Canvas((40, 32), crop_pct=0.875, aspect=aspect, resample="bilinear")
    assert View().is_plain
    assert View().num_params == 0
    assert View().canvas(base) == base
    assert np.array_equal(shown(View(), base=base), base.make(picture()))


def test_a_frame_surrounds_the_shrunk_image() -> None:
    canvas = shown(View(size=0.5, frame=Pattern((9, 8, 7))))
    inside = np.zeros((40, 40), bool)
    inside[10:30, 10:30] = True
    assert (canvas[~inside] == (9, 8, 7)).all()
    assert np.array_equal(canvas[10:30, 10:30], Canvas((20, 20)).make(picture()))


def test_a_place_is_measured_in_the_free_room() -> None:
    corner = shown(View(size=0.5, x=1.0, y=0.0, frame=WHITE))
    assert np.array_equal(corner[:20, 20:], Canvas((20, 20)).make(picture()))
    assert (corner[20:] == 255).all()


def test_a_view_larger_than_the_canvas_shows_a_part() -> None:
    whole = Canvas((80, 80)).make(picture())
    assert np.array_equal(shown(View(size=2.0, x=0.0, y=1.0)), whole[40:, :40])
    assert np.array_equal(shown(View(size=2.0)), whole[20:60, 20:60])


def test_zoom_keeps_the_centre() -> None:
    assert np.array_equal(shown(View(zoom=1.0)), Canvas((40, 40)).make(picture()))
    assert np.array_equal(shown(View(zoom=2.0)), Canvas((40, 40), crop_pct=0.5).make(picture()))


@pytest.mark.parametrize("degrees", [90.0, 180.0, -90.0, -180.0])
def test_quarter_turns_move_pixels_and_change_none(degrees: float) -> None:
    square, base = picture(40, 40), Canvas((40, 40))
    turned = np.rot90(np.asarray(square), round(degrees / 90))
    assert np.array_equal(shown(View(rotation=degrees), square, base), turned)
    assert not np.array_equal(shown(View(), square, base), turned)  # negative control


def test_a_flip_comes_before_the_rotation() -> None:
    square, base = picture(40, 40), Canvas((40, 40))
    expected = np.rot90(np.asarray(square)[:, ::-1])
    assert np.array_equal(shown(View(flip=True, rotation=90.0), square, base), expected)


def test_a_rotation_by_degrees_is_that_of_pillow_and_its_corners_continue_the_frame() -> None:
    square, base = picture(40, 40), Canvas((40, 40))
    expected = np.asarray(square.rotate(15, Image.Resampling.BICUBIC, fillcolor=(255, 255, 255)))
    canvas = shown(View(rotation=15.0, frame=WHITE), square, base)
    assert np.array_equal(canvas, expected)
    assert (canvas[0, 0] == 255).all()


def test_rotations_by_degrees_join_quarter_turns() -> None:
    def middle(degrees: float) -> np.ndarray:
        return shown(View(rotation=degrees), picture(40, 40), Canvas((40, 40)))[12:28, 12:28].astype(int)

    gap = np.abs(middle(44.99) - middle(45.01)).mean()
    assert gap < 0.2 * np.abs(middle(44.99) - middle(-45.0)).mean()  # negative control: another turn is far off


def test_tones_are_closed_forms_of_the_pixel_value() -> None:
    values = np.arange(256)
    assert Tone(invert=True).table == (255 - values).tolist()
    assert Tone().table == values.tolist()
    assert Tone(gamma=2.0).table == np.floor(255 * (values / 255) ** 2 + 0.5).astype(int).tolist()
    steep = Tone(contrast=20.0).table
    assert (steep[100], steep[155]) == (0, 255)
    assert np.array_equal(shown(View(tone=Tone(invert=True))), 255 - shown(View()))


def test_the_frame_has_no_tone() -> None:
    canvas = shown(View(size=0.5, frame=BLACK, tone=Tone(invert=True)))
    assert (canvas[0] == 0).all()
    assert np.array_equal(canvas[10:30, 10:30], 255 - shown(View(size=0.5))[10:30, 10:30])


def test_a_patch_covers_its_place_and_nothing_else() -> None:
    patch = Patch(size=0.25, x=0.0, y=1.0, pattern=Pattern((1, 2, 3), "checkerboard", (4, 5, 6), period=5))
    canvas, plain = shown(View(patch=patch)).copy(), shown(View())
    assert (canvas[30:35, :5] == (1, 2, 3)).all()
    assert (canvas[30:35, 5:10] == (4, 5, 6)).all()
    canvas[30:, :10] = plain[30:, :10]
    assert np.array_equal(canvas, plain)


def test_patterns_have_two_colours_in_their_places() -> None:
    stripes = Pattern((1, 1, 1), "stripes", (2, 2, 2), period=3).pixels(4, 7)[..., 0]
    assert stripes.tolist() == 4 * [[1, 1, 1, 2, 2, 2, 1]]
    noise = Pattern((1, 1, 1), "noise", (2, 2, 2), seed=5)
    assert np.array_equal(noise.pixels(30, 30), noise.pixels(30, 30))
    assert 0.4 < (noise.pixels(30, 30)[..., 0] == 2).mean() < 0.6


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"size": 0.0},
        {"size": 0.01},
        {"size": 5.0},
        {"size": float("nan")},
        {"size": "large"},
        {"size": True},
        {"x": -0.1},
        {"y": 1.1},
        {"zoom": 0.5},
        {"zoom": 9.0},
        {"rotation": 181.0},
        {"flip": 1},
        {"resample": "sinc"},
        {"tone": {"contrast": 0.0}},
        {"tone": {"gamma": -1.0}},
        {"tone": {"invert": "yes"}},
        {"tone": {"brightness": 1.0}},
        {"tone": 3},
        {"frame": {"color": [0, 0]}},
        {"frame": {"color": [0, 0, 256]}},
        {"frame": {"color": 3}},
        {"frame": {"color": [0.5, 0, 0]}},
        {"frame": {"kind": "dots"}},
        {"frame": {"kind": "stripes", "period": 0}},
        {"frame": {"kind": "noise", "seed": -1}},
        {"frame": 1},
        {"patch": {"size": 2.0, "pattern": {}}},
        {"patch": {"size": 0.1}},
        {"patch": {}},
        {"patch": [[1, 2, 3]]},
        {"place": 1},
    ],
)
def test_a_view_that_makes_no_sense_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        View.from_json(values)


def test_a_view_that_leaves_no_image_says_so() -> None:
    with pytest.raises(ConfigError, match="leaves no image on a 4x4 canvas"):
        View(size=0.1).prompt(Canvas((4, 4)))
    covered = View(size=0.3, x=0.0, y=0.0, patch=Patch(size=0.5, x=0.0, y=0.0))
    with pytest.raises(ConfigError, match="its patch covers all of it"):
        covered.prompt(BASE)


@pytest.mark.parametrize("name", ["box", "flip", "rotation", "tone"])
@pytest.mark.parametrize("value", [3, "x", None, [1, 2], {"a": 1}, [0, 0, 0, 0], [90, 0, 10, 10], 1e9])
def test_a_file_with_an_impossible_canvas_is_refused(name: str, value: object) -> None:
    if (name, value) == ("rotation", 3):
        return
    values = {**View(size=0.5, x=0.0).canvas(BASE).to_json(), name: value}
    with pytest.raises(PromptError):
        Canvas.from_json(values)


# The catalogue -------------------------------------------------------------------------------------------------------


def test_the_catalogue_is_of_different_views_that_all_leave_an_image() -> None:
    base = Canvas((224, 224), crop_pct=0.875)
    canvases = {view.name: shown(view, base=base).tobytes() for view in catalogue()}
    assert len(set(canvases.values())) == len(canvases) == len(catalogue())
    assert catalogue()[0].is_plain
    assert not any(view.turns for view in catalogue(turns=False))
    assert any(view.turns for view in catalogue())


def test_a_view_reads_as_a_committee_of_one(tmp_path: Path) -> None:
    View(size=0.5, flip=True).prompt(BASE, seed=4).save(tmp_path / "p.png")
    committee = load_committee(tmp_path / "p.png")
    assert len(committee.pages) == 1
    assert committee.single.metadata() == load(tmp_path / "p.png").metadata()
