"""The format: the package, the golden vectors and a second implementation of the format page agree to the byte."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixprompt.canvas import FILTERS, Canvas, decode
from pixprompt.core import AnswerKind, ModelSpec
from pixprompt.outputs.saved import SavedOutput
from pixprompt.prompt import Prompt, load_committee

from . import format_reference
from .golden.make_format import SIZE

FOLDER = Path(__file__).parent / "golden/format"
PROMPTS = sorted(path.stem for path in (FOLDER / "prompts").glob("*.png"))
OUTPUTS = json.loads((FOLDER / "outputs.json").read_text())
IMAGES = sorted((FOLDER / "images").glob("*.png"))


def expected(name: str) -> np.ndarray:
    with Image.open(FOLDER / f"expected/{name}.png") as strip:
        return np.array(strip)


@pytest.mark.parametrize("name", PROMPTS)
def test_the_package_and_the_page_give_the_golden_canvases(name: str) -> None:
    path = FOLDER / f"prompts/{name}.png"
    prompt, images = load_committee(path), [decode(each) for each in IMAGES]
    ours = np.concatenate([page for image in images for page in prompt.apply(np.asarray(image))])
    page = np.concatenate([pixels for image in images for pixels in format_reference.apply(path, np.asarray(image))])
    assert (ours == expected(name)).all()
    assert (page == expected(name)).all()
    assert len(np.unique(ours)) > 100


@pytest.mark.parametrize("resample", FILTERS)
def test_the_page_resizes_as_the_package_does_whatever_the_sizes(resample: str) -> None:
    rng = np.random.default_rng(1)
    for height, width in ((3, 40), (41, 5), (17, 17), (1, 1), (64, 30)):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        for aspect in ("crop", "squash", "letterbox"):
            canvas = Canvas((9, 13), resample=resample, aspect=aspect, crop_pct=0.8 if aspect == "crop" else 1.0)
            actual = format_reference.canvas(canvas.to_json(), pixels)
            assert (actual == canvas.make(Image.fromarray(pixels))).all(), (height, width, aspect)


@pytest.mark.parametrize("name", OUTPUTS)
def test_golden_answers_have_their_logits(name: str) -> None:
    output = load_committee(FOLDER / f"prompts/{name}.png").output
    read = SavedOutput(output, ModelSpec("golden", SIZE, 5, AnswerKind(output["answer"])))
    actual = read(np.array(OUTPUTS[name]["answers"], np.float32))
    assert actual == pytest.approx(np.array(OUTPUTS[name]["logits"]), abs=1e-6)


def test_a_digest_is_that_of_the_text_without_itself() -> None:
    with Image.open(FOLDER / "prompts/committee.png") as image:
        text = image.text["pixprompt"]
    (digest,) = re.findall('"metadata_sha256": "([0-9a-f]{64})", ', text)
    rest = re.sub('"metadata_sha256": "[0-9a-f]{64}", ', "", text)
    assert hashlib.sha256(rest.encode()).hexdigest() == digest


def test_the_reference_is_no_copy_that_agrees_with_everything(tmp_path: Path) -> None:
    """Negative control: another filter, or a changed file, and the two differ."""
    pixels = np.random.default_rng(2).integers(0, 256, (30, 21, 3), dtype=np.uint8)
    other = {**Canvas((9, 13), resample="lanczos").to_json(), "filter": "hamming"}
    assert (
        format_reference.canvas(other, pixels) != Canvas((9, 13), resample="lanczos").make(Image.fromarray(pixels))
    ).any()
    whole = load_committee(FOLDER / "prompts/add-crop.png").single
    Prompt(whole.rgba, whole.canvas, "add", 0.5, whole.template).save(tmp_path / "p.png")
    halved = np.concatenate(
        [each for path in IMAGES for each in format_reference.apply(tmp_path / "p.png", np.asarray(decode(path)))]
    )
    assert (halved != expected("add-crop")).any()
