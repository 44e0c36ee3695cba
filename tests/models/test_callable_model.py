"""Every form of images with every form of answers, and what cannot be read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pixprompt.core import Access, AnswerKind, ConfigError, Model, ModelError, RangeError, ShapeError
from pixprompt.models import CallableModel, as_model, load_model
from pixprompt.replies import OTHER

from .toy_callables import FORMS, RETURNS, SIZE, callable_of, constant, photos, pixels_of, shares


@pytest.mark.parametrize("returns", RETURNS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_rows(form: str, returns: str) -> None:
    calls: list[object] = []
    model = as_model(callable_of(form, returns, calls), takes=form, image_size=SIZE, labels=tuple("rgb"), name="own")
    assert isinstance(model, Model)
    assert len(calls) == 1, "one grey image shows the form of the answers"
    assert model.probe_queries == 1  # type: ignore[attr-defined]
    assert model.access is Access.SCORES
    assert (model.spec.name, model.spec.image_size) == ("own", SIZE)
    images = photos()
    expected = torch.from_numpy(shares(images)).float()
    outputs = model(images)
    assert outputs.dtype == torch.float32
    if returns == "text":
        assert (model.spec.answer, model.spec.labels) == (AnswerKind.LABEL, ("r", "g", "b", OTHER))
        assert torch.equal(outputs, torch.nn.functional.one_hot(expected.argmax(1), 4).float())
    else:
        assert (model.spec.answer, model.spec.labels) == (AnswerKind.PROBABILITIES, ("r", "g", "b"))
        torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-6)
    assert model.spec.num_outputs == outputs.shape[1]


@pytest.mark.parametrize("form", FORMS)
def test_callables_get_exactly_the_8_bit_values(form: str) -> None:
    calls: list[object] = []
    model = as_model(callable_of(form, "array", calls), takes=form, image_size=(16, 16))
    levels = torch.arange(256).reshape(1, 1, 16, 16).expand(2, 3, 16, 16).clone()
    levels[1, 2] = levels[1, 2].flip(0)
    calls.clear()
    images = levels.float() / 255
    model(images)
    pixels = np.concatenate([pixels_of(pixels) for pixels in calls])
    assert np.array_equal(pixels, levels.permute(0, 2, 3, 1).numpy())
    first = calls[0]
    if form == "tensor":
        assert isinstance(first, Tensor)
        assert torch.equal(first, images)
    elif form == "array":
        assert isinstance(first, np.ndarray)
        assert (first.dtype, first.shape, first.flags.writeable) == (np.uint8, (2, 16, 16, 3), True)
        first[:] = 0
        assert torch.equal(images, levels.float() / 255), "what a callable does to its array stays there"
    else:
        image = first if form == "image" else first[0]  # type: ignore[index]
        assert isinstance(image, Image.Image)
        assert (image.mode, image.size) == ("RGB", (16, 16))


def test_pixels_are_rounded_not_truncated() -> None:
    calls: list[object] = []
    model = as_model(callable_of("array", "array", calls), takes="array", image_size=(16, 16))
    levels = torch.arange(256).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    images = (levels.float() / 255 - 1e-6).clamp_min(0)
    model(images)
    assert np.array_equal(pixels_of(calls[1]), levels.permute(0, 2, 3, 1).numpy())
    assert not torch.equal((images * 255).to(torch.uint8).long(), levels)  # the negative control


def test_images_are_checked_before_anything_is_asked() -> None:
    calls: list[object] = []
    model = as_model(callable_of("image", "array", calls), takes="image", image_size=SIZE)
    with pytest.raises(RangeError):
        model(photos() * 2)
    with pytest.raises(ShapeError):
        model(torch.zeros(1, 3, 5, 5))
    assert len(calls) == 1


def test_takers_of_tensors_are_normalised_others_are_not() -> None:
    calls: list[Tensor] = []

    def named(images: Tensor) -> list[dict[str, float]]:
        calls.append(images.detach())
        return [{"a": 1.0} for _ in images]

    model = as_model(named, takes="tensor", image_size=SIZE, mean=(0.5,) * 3, std=(0.25,) * 3)
    assert isinstance(model, CallableModel)
    model(torch.ones(1, 3, *SIZE))
    assert [float(batch.mean()) for batch in calls] == [0.0, 2.0]


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (None, "returned NoneType None for one image, expected a list or array of two or more scores"),
        (0.7, "returned float 0.7"),
        ([0.7], r"returned list \[0.7\]"),
        ([[0.1, 0.9], [0.2, 0.8]], "returned list"),
        ([[0.1, 0.9], [0.2]], "returned list"),
        (np.zeros((2, 2, 2)), r"returned ndarray \(2, 2, 2\)"),
        ([0.1, float("nan")], "NaN or infinity"),
        ({"a": float("inf")}, "NaN or infinity"),
        ({"a": "high"}, "returned dict"),
        ([("a", 0.5), "b"], "returned list"),
        (["a", "b"], "returned list"),
        (("a", 0.5), "returned tuple"),
        ({"a": 97.0, "b": 2.0}, "from 2 to 97, expected probabilities.*Divide them by 100"),
        ({"a": -3.5, "b": 2.0}, "from -3.5 to 2.*answer='logits'"),
        ({"a": 0.5, "b": 1.5}, "from 0.5 to 1.5.*answer='logits'"),
    ],
)
def test_answers_that_cannot_be_read(reply: object, message: str) -> None:
    with pytest.raises(ModelError, match=message) as error:
        constant(reply)(photos(1))
    assert "model '<lambda>'" in str(error.value)
    assert "logits" in str(error.value) or "Divide" not in str(error.value)


@pytest.mark.parametrize(
    ("first", "later", "message"),
    [
        ([0.1, 0.9], {"a": 0.5}, "returned named scores, but scores in an array at its first query"),
        ([0.1, 0.9], "cat", "returned a text, but scores in an array"),
        ([0.1, 0.9], [0.1, 0.2, 0.7], "returned 3 scores, earlier 2"),
        ([0.1, 0.9], [1.0, 2.0], "expected probabilities"),
        ({"a": 0.5}, [0.1, 0.9], "returned an array of scores, but named scores"),
        ("cat", [0.1, 0.9], "returned an array of scores, but texts"),
    ],
)
def test_forms_do_not_change_between_calls(first: object, later: object, message: str) -> None:
    replies = iter([first, later])
    model = as_model(lambda image: next(replies), takes="image", image_size=SIZE)
    with pytest.raises(ModelError, match=message):
        model(photos(1))


def test_full_answers_stay_full() -> None:
    for later, message in (({"a": 1.0}, "left out 1 of 2 labels"), ({"a": 1.0, "c": 2.0}, "has no label 'c'")):
        replies = iter([{"a": 3.0, "b": 5.0}, later])
        model = as_model(lambda image: next(replies), takes="image", image_size=SIZE, answer="logits")  # noqa: B023
        with pytest.raises(ModelError, match=message):
            model(photos(1))


@pytest.mark.parametrize(
    ("options", "reply"),
    [({"answer": "label"}, [0.1, 0.9]), ({"answer": "logits"}, "cat"), ({"answer": "embeddings"}, {"a": 0.5})],
)
def test_kinds_that_do_not_go_with_the_form(options: dict[str, str], reply: object) -> None:
    with pytest.raises(ConfigError, match="leave out answer="):
        constant(reply, **options)


def test_batches_need_one_answer_per_image() -> None:
    for reply in ([[0.1, 0.9]], np.zeros((3, 2)), {"a": 0.5}, "cat", None, ["cat"], 5):
        replies = iter([[[0.1, 0.9]], reply])
        model = as_model(lambda images: next(replies), takes="images", image_size=SIZE)  # noqa: B023
        with pytest.raises(ModelError, match="for 2 images, expected a list or array of 2: one answer each"):
            model(photos(2))
    with pytest.raises(ModelError, match=r"returned 2 scores, expected 4"):
        constant([0.1, 0.9], num_outputs=4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("returns", ["list", "tensor"])
def test_what_a_callable_raises_is_wrapped(form: str, returns: str) -> None:
    def failing(inputs: object) -> object:
        if trouble:
            raise trouble[0]("line is down")
        return works(inputs)

    works, trouble = callable_of(form, returns), []  # type: ignore[var-annotated]
    model = as_model(failing, image_size=SIZE, takes=form)
    trouble.append(ConnectionError)
    with pytest.raises(ModelError, match="'failing' failed on 3 images: ConnectionError: line is down") as error:
        model(photos(3))
    assert isinstance(error.value.__cause__, ConnectionError)
    trouble[:] = [KeyboardInterrupt]
    with pytest.raises(KeyboardInterrupt):
        model(photos(1))


def test_a_callable_without_torch_by_name(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "own_service.py").write_text(
        "from __future__ import annotations\nfrom PIL import Image\n\n"
        "def colour(picture: Image.Image) -> str:\n"
        "    return 'dark' if picture.getpixel((0, 0))[0] < 100 else 'light'\n\n"
        "colour.labels, colour.image_size = ('dark', 'light'), (4, 6)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    model = load_model("python:own_service:colour")
    assert (model.spec.image_size, model.spec.labels) == ((4, 6), ("dark", "light", OTHER))
    assert model(torch.tensor([0.1, 0.9])[:, None, None, None].expand(2, 3, 4, 6)).argmax(1).tolist() == [0, 1]
    assert load_model("python:own_service:colour@8x9").spec.image_size == (8, 9)
