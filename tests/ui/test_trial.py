"""An image on a prompt: the pixels of `apply`, the answers of `predict`, and no model that may be paid for."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pixprompt
from pixprompt.cli import main
from pixprompt.engine.saved import deploy as deploying
from pixprompt.engine.saved.saved_prompt import unprompted
from pixprompt.ui.runs import RunsFolder
from pixprompt.ui.trial import Trials

from ..cli.toy import Toy
from ..images import bomb, make_prompt
from ..report.html_check import read
from ..report.pages import edit_settings

Drop = Callable[..., str]


def pictures(text: str) -> list[np.ndarray]:
    results = [image.attributes["src"].split(",", 1) for image in read(text).all("img")]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))) for _, content in results]


def answers(text: str) -> list[str]:
    return re.findall(r"<li><span>(\w+)</span><span class=\"num\">([\d.]+)%", text)


@pytest.fixture
def photo(toy_run: Toy) -> Path:
    return toy_run.images("test")[2]


def test_an_image_on_a_run_has_the_pixels_of_apply_and_the_answers_of_predict(
    drop: Drop, runs: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = drop("/try?run=done&file=a.png", photo.read_bytes())
    canvas, prompted = pictures(text)
    with Image.open(photo) as image:
        assert np.array_equal(canvas, np.asarray(image))
        assert np.array_equal(prompted, np.asarray(pixprompt.load(runs / "done/prompt.png").apply(image)))
    expected = []
    capsys.readouterr()
    for options in (["--no-prompt"], []):
        assert main(["predict", str(runs / "done"), str(photo), "--device", "cpu", *options]) == 0
        line = json.loads(capsys.readouterr().out)
        expected += [(entry["label"], f"{100 * entry['probability']:.1f}") for entry in line["top"]]
    assert answers(text) == expected
    assert expected[:3] != expected[3:]


def test_where_no_prompt_was_kept_the_image_and_its_answer_stand_alone(drop: Drop, runs: Path, photo: Path) -> None:
    prompt = pixprompt.load_committee(runs / "done/prompt.png")
    unprompted(prompt, prompt.pages[0].canvas).save(runs / "done/prompt.png")
    text = drop("/try?run=done", photo.read_bytes())
    assert len(pictures(text)) == 1
    assert len(answers(text)) == 3
    assert "no prompt that could be left out" in text
    assert "--no-prompt" not in text


def test_a_dropped_prompt_is_applied_and_does_not_decide_what_is_loaded(drop: Drop, runs: Path, photo: Path) -> None:
    described = drop("/prompt?file=mine.png", (runs / "done/prompt.png").read_bytes())
    target = next(node.attributes["data-try"] for node in read(described).all("div") if "data-try" in node.attributes)
    text = drop(target, photo.read_bytes())
    assert len(pictures(text)) == 2
    assert answers(text) == []
    assert "a file must not decide that" in text
    assert "pixprompt predict mine.png photo.jpg" in text
    assert "drop it again" in drop("/try?prompt=abc", photo.read_bytes(), 404)


def test_what_is_no_image_or_no_prompt_is_refused_with_its_reason(drop: Drop, photo: Path) -> None:
    assert "no known format" in drop("/try?run=done", b"no picture", 400)
    assert "pixels" in drop("/try?run=done", bomb(), 400)
    assert "at most 1000000 bytes" in drop("/try?run=done", bytes(1_000_001), 413)
    assert "no 'pixprompt' metadata" in drop("/prompt", (buffer_of(make_prompt().rgba)), 400)
    assert "RGBA" in drop("/prompt", photo.read_bytes(), 400)
    assert "there is no run" in drop("/try?run=nobody", photo.read_bytes(), 404)


def buffer_of(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("model", ["http://127.0.0.1:9/v2/models/m", "endpoint:paid", "python:paid:model"])
def test_a_model_that_may_be_paid_for_is_not_even_opened(
    runs: Path, photo: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*args: object, **options: object) -> None:
        raise AssertionError("opened")

    monkeypatch.setattr(deploying, "deploy", opened)
    trials, folder = Trials("cpu"), RunsFolder(runs)
    with Image.open(photo) as image:
        with pytest.raises(AssertionError):  # negative control: a model of this machine is opened
            trials.of_run(folder.run("done"), image)
        edit_settings(runs / "done", model=model, optimizer="spsa")
        trial = trials.of_run(folder.run("done"), image)
    assert len(trial.steps) == 1
    assert trial.answers == ()
    assert "may be paid for" in str(trial.reason)


def test_a_run_that_was_learned_again_is_tried_as_it_is_now(runs: Path, photo: Path) -> None:
    trials, folder = Trials("cpu"), RunsFolder(runs)
    with Image.open(photo) as image:
        (before,) = trials.of_run(folder.run("done"), image).steps
        prompt = pixprompt.load_committee(runs / "done/prompt.png")
        unprompted(prompt, prompt.pages[0].canvas).save(runs / "done/prompt.png")
        (after,) = trials.of_run(folder.run("done"), image).steps
    trials.close()
    assert not np.array_equal(before.canvas, before.prompted)
    assert np.array_equal(after.canvas, after.prompted)


def test_a_diagnosis_that_comes_later_is_seen(runs: Path) -> None:
    folder = RunsFolder(runs)
    assert folder.run("done").diagnosis is None
    (runs / "done/diagnosis.json").write_text("{}")
    assert folder.run("done").diagnosis == {}
