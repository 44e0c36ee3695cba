"""How it is found out what a callable takes, and what that costs."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pixprompt.core import AnswerKind, ConfigError, ModelError
from pixprompt.models import CallableModel, as_model

from .toy_callables import FORMS, SIZE, callable_of, photos


def annotated(annotation: object) -> Callable[[object], object]:
    def answer(inputs):  # type: ignore[no-untyped-def]
        calls.append(type(inputs))
        return [0.2, 0.8] if isinstance(inputs, Image.Image) else [[0.2, 0.8] for _ in inputs]

    calls: list[type] = []
    answer.calls = calls  # type: ignore[attr-defined]
    answer.__annotations__["inputs"] = annotation
    return answer


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (Image.Image, Image.Image),
        (Image, Image.Image),  # the module, a common slip
        ("Image.Image", Image.Image),
        ("PIL.Image.Image", Image.Image),
        (list[Image.Image], list),
        ("List[Image]", list),
        ("Sequence[PIL.Image.Image]", list),
        (np.ndarray, np.ndarray),
        ("npt.NDArray[np.uint8]", np.ndarray),
        (torch.Tensor, torch.Tensor),
        ("Tensor", torch.Tensor),
    ],
)
def test_annotations_say_what_is_taken(annotation: object, kind: type) -> None:
    function = annotated(annotation)
    model = as_model(function, image_size=SIZE)
    assert function.calls == [kind]  # type: ignore[attr-defined]
    assert model.probe_queries == 1  # type: ignore[attr-defined]
    model(photos(2))
    assert set(function.calls) == {kind}  # type: ignore[attr-defined]


def test_an_argument_goes_before_an_attribute_before_an_annotation() -> None:
    function = annotated("Tensor")
    function.takes = "array"  # type: ignore[attr-defined]
    as_model(function, image_size=SIZE)
    as_model(function, image_size=SIZE, takes="images")
    assert function.calls == [np.ndarray, list]  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="takes= is one of tensor, image, images, array, got 'picture'"):
        as_model(function, takes="picture")
    with pytest.raises(ConfigError, match="a net takes tensors"):
        as_model(torch.nn.Flatten(), takes="image")


class Service:
    """A client object with everything said by attributes."""

    takes = "image"
    labels = ("cat", "dog")
    answer = "logits"
    image_size = 8

    def __call__(self, picture):  # type: ignore[no-untyped-def]
        return [picture.size[0] / 10, 0.2]


def test_attributes_serve_where_arguments_are_left_out() -> None:
    model = as_model(Service())
    assert (model.spec.name, model.spec.image_size, model.spec.labels) == ("Service", (8, 8), ("cat", "dog"))
    assert model.spec.answer is AnswerKind.LOGITS, "0.8 and 0.2 look like probabilities"
    other = as_model(Service(), image_size=(3, 10), labels=("a", "b"), answer="probabilities")
    assert (other.spec.image_size, other.spec.labels) == ((3, 10), ("a", "b"))
    assert other.spec.answer is AnswerKind.PROBABILITIES
    for wrong, message in (
        ({"image_size": "8x8"}, "image_size"),
        ({"labels": "cat"}, "labels"),
        ({"answer": "x"}, "answer"),
    ):
        with pytest.raises(ConfigError, match=message):
            as_model(Service(), **wrong)  # type: ignore[arg-type]


def picky(*good: str) -> Callable[[object], object]:
    """Takes these forms only, and notes which it was given."""
    kinds = {"tensor": Tensor, "image": Image.Image, "images": list, "array": np.ndarray}

    def answer(x):  # type: ignore[no-untyped-def]
        form = next(form for form in FORMS if isinstance(x, kinds[form]))
        calls.append(form)
        if form not in good:
            raise TypeError(f"cannot take {form}")
        return callable_of(form, "list")(x)

    calls: list[str] = []
    answer.calls = calls  # type: ignore[attr-defined]
    return answer


@pytest.mark.parametrize(
    ("form", "queries"),
    [
        ("tensor", ["tensor"]),
        ("image", ["tensor", "image"]),
        ("array", ["tensor", "image", "array"]),
        ("images", ["tensor", "image", "array", "images"]),
    ],
)
def test_probing_counts_every_image_that_was_asked(
    form: str, queries: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    function = picky(form)
    with caplog.at_level(logging.WARNING, "pixprompt"):
        model = as_model(function, image_size=SIZE)
    assert function.calls == queries  # type: ignore[attr-defined]
    assert model.probe_queries == len(queries)  # type: ignore[attr-defined]
    assert ("say takes=" in caplog.text) == (form == "tensor"), "a tensor can be mistaken for an array"
    assert model(photos(3)).shape == (3, 3)


def test_a_parameter_called_image_is_tried_with_an_image_first() -> None:
    def answer(image):  # type: ignore[no-untyped-def]
        return "dark" if np.asarray(image).mean() < 100 else "light"  # works on an array of any shape

    model = as_model(answer, image_size=SIZE)
    assert isinstance(model, CallableModel)
    assert (model.takes, model.probe_queries) == ("image", 1)


def test_what_leaves_torch_is_tried_with_an_image_before_a_second_tensor() -> None:
    def through_numpy(x):  # type: ignore[no-untyped-def]
        return np.asarray(x, dtype=np.float64).mean((0, 1)).tolist()

    model = as_model(through_numpy, image_size=SIZE)
    assert isinstance(model, CallableModel)
    assert (model.takes, model.probe_queries) == ("image", 2)


def test_local_nets_cost_nothing() -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * SIZE[0] * SIZE[1], 2))
    assert as_model(net, image_size=SIZE).probe_queries == 0  # type: ignore[attr-defined]
    assert as_model(lambda x: x.mean((2, 3)), image_size=SIZE).probe_queries == 1  # type: ignore[attr-defined]


def test_a_failing_callable_says_how_it_was_asked() -> None:
    function = picky()
    with pytest.raises(ModelError) as error:
        as_model(function, image_size=SIZE)
    for form in FORMS:
        assert f"{form}: TypeError: cannot take {form}" in str(error.value)
    assert isinstance(error.value.__cause__, TypeError)
    once = picky("array")
    with pytest.raises(ModelError, match=r"image: TypeError: cannot take image\. Does it"):
        as_model(once, takes="image")
    assert once.calls == ["image"]  # type: ignore[attr-defined]


def test_an_interrupt_is_not_wrapped() -> None:
    def interrupted(image: Image.Image) -> list[float]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        as_model(interrupted)
