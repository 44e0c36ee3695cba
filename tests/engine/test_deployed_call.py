"""One object from a prompt file: images of any form in, labels with probabilities out."""

from __future__ import annotations

import asyncio
import io

import numpy as np
import pytest

import pixprompt
from pixprompt.core import ImageError, RangeError


@pytest.fixture
def file(config, model, data, wholes):
    return wholes(config.with_values(epochs=15), model=model, data=data)[0] / "prompt.png"


@pytest.fixture
def deployed(file, model):
    with pixprompt.deploy(file, model=model) as deployment:
        yield deployment


def test_every_form_of_an_image_has_the_answer_of_predict(deployed, data, tmp_path) -> None:
    image = data.test.open(0)
    path, stream = tmp_path / "a.png", io.BytesIO()
    image.save(path)
    image.save(stream, "PNG")
    (line,) = pixprompt.predict(deployed, [str(path)])
    for form in (image, path, str(path), stream.getvalue(), np.asarray(image)):
        result = deployed(form)
        assert result.label == line["label"]
        assert result.probability == pytest.approx(line["probability"], abs=1e-6)
        assert tuple(result.probabilities) == data.classes
        assert sum(result.probabilities.values()) == pytest.approx(1)
        assert result.probability == max(result.probabilities.values()) == result.probabilities[result.label]


def test_many_images_are_answered_in_order_whatever_fits_into_a_call(deployed, data) -> None:
    images = [data.test.open(index) for index in range(len(data.test))]
    alone = [deployed(image).label for image in images]
    assert [result.label for result in deployed(images)] == alone
    assert [result.label for result in deployed(tuple(images[::-1]))] == alone[::-1]
    assert len(set(alone)) > 1
    assert deployed([]) == []


def test_an_event_loop_may_wait_for_several_at_once(deployed, data) -> None:
    images = [data.test.open(index) for index in range(6)]

    async def every() -> list:
        return await asyncio.gather(*(deployed.answer(image) for image in images))

    assert asyncio.run(every()) == [deployed(image) for image in images]


def test_what_is_no_image_is_refused_before_the_model_is_queried(deployed, data) -> None:
    before = deployed.model.queries
    with pytest.raises(ImageError):
        deployed([data.test.open(0), b"no image"])
    with pytest.raises(RangeError, match="uint8"):
        deployed(np.zeros((16, 16, 3)))
    assert deployed.model.queries == before
