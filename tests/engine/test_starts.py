"""Where a search may start."""

import pytest
import torch

from pixprompt.engine import TrainConfig
from pixprompt.engine.fit.answers.initial_prompts import num_starts, starts_of
from pixprompt.engine.parts import build


@pytest.fixture
def parts(model, data):
    def make(**values):
        config = TrainConfig(**{"model": "toy-net", "data": "toy", "size": 4, "budget": 500, **values})
        return build(config, model=model, data=data)

    return make


def prompted(parts, start, image: float) -> torch.Tensor:
    return parts.template(torch.full((1, 3, 16, 16), image), start.theta)


def test_a_frame_may_leave_the_image_alone_or_be_of_one_colour(parts) -> None:
    result = parts()
    starts = {start.name: start for start in starts_of(result)}
    assert list(starts) == ["flat", "black", "white", "black, shrunk", "grey, shrunk", "white, shrunk"]
    image = 100 / 255
    for name, inside, frame in (("flat", image, image), ("black", image, 0.0), ("white", image, 1.0)):
        pixels = prompted(result, starts[name], image)
        assert pixels[0, 0, 8, 8] == pytest.approx(inside)
        assert pixels[0, 0, 0, 0] == pytest.approx(frame)
    for name, frame in (("black, shrunk", 0.0), ("grey, shrunk", 128 / 255), ("white, shrunk", 1.0)):
        assert starts[name].shrink
        pixels = prompted(result, starts[name], 0.0)  # the frame of a shrunk image is black
        assert pixels[0, 0, 0, 0] == pytest.approx(frame, abs=1 / 255)


def test_only_what_changes_nothing_is_blank_and_need_not_be_tried(parts) -> None:
    result = parts()
    assert [start.name for start in starts_of(result) if start.blank] == ["flat"]
    assert num_starts(result) == 5
    assert num_starts(parts(surrogate="python:nothing:here")) == 7
    assert num_starts(parts(method="bar")) == 1


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"fit": "resize"}, {"flat", "black", "white"}),
        ({"fit": "shrink"}, {"flat", "grey, shrunk", "white, shrunk"}),
        ({"template": "patch"}, {"flat", "black", "white"}),
        ({"start": "normal"}, {"normal"}),
        ({"start": "flat", "fit": "shrink"}, {"flat"}),
        ({"blend": "over", "fit": "shrink"}, {"flat", "black, shrunk", "white, shrunk"}),
    ],
)
def test_settings_narrow_the_choice(values, names, parts) -> None:
    assert {start.name for start in starts_of(parts(**values))} == names


def test_a_prompt_that_shows_nothing_is_not_tried_twice(parts) -> None:
    for values in ({}, {"blend": "over"}, {"blend": "over", "opacity": "learned"}):
        starts = starts_of(parts(**values))
        drawn_starts = {(start.shrink, start.theta.numpy().tobytes()) for start in starts}
        assert len(drawn_starts) == len(starts)
