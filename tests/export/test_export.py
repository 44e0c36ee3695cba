"""What is exported does to a canvas and to answers what the prompt does, in programs that know nothing of it."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixprompt.canvas import Canvas, decode
from pixprompt.cli import main
from pixprompt.core import AnswerKind, ModelSpec, PromptError
from pixprompt.export import FORMS, export_prompt
from pixprompt.outputs.saved import SavedOutput
from pixprompt.prompt import Committee, Prompt, load_committee

from ..golden.make_format import answers

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = [*sorted((GOLDEN / "format/prompts").glob("*.png")), *sorted((GOLDEN / "0.4").glob("*.png"))]
IMAGE = decode(GOLDEN / "format/images/photo.png")


def folders(prompt: Committee, folder: Path) -> list[Path]:
    return [folder] if len(prompt.pages) == 1 else [folder / f"view-{n + 1}" for n in range(len(prompt.pages))]


def check_written(prompt: Committee, folder: Path, form: str, *, refused: bool) -> None:
    """Exports, or makes sure that it is refused with the share of wrong pixels."""
    with pytest.raises(PromptError, match="% of its pixels") if refused else nullcontext():
        export_prompt(prompt, folder, form)
    assert folder.exists() == (not refused)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_pictures_are_exact_or_refused(path: Path, tmp_path: Path) -> None:
    prompt = load_committee(path)
    added = any(page.blend == "add" for page in prompt.pages)
    mixed = any(page.blend == "over" and bool((page.rgba[..., 3] % 255).any()) for page in prompt.pages)
    check_written(prompt, tmp_path / "overlay", "overlay", refused=added)
    check_written(prompt, tmp_path / "pair", "pair", refused=mixed)
    for page, folder in zip(prompt.pages, [] if added else folders(prompt, tmp_path / "overlay"), strict=not added):
        canvas = Image.fromarray(page.canvas.make(IMAGE)).convert("RGBA")
        canvas.alpha_composite(Image.open(folder / "overlay.png"))
        assert (np.asarray(canvas)[..., :3] == page.overlay(page.canvas.make(IMAGE))).all()
    for page, folder in zip(prompt.pages, [] if mixed else folders(prompt, tmp_path / "pair"), strict=not mixed):
        first, second = (np.asarray(Image.open(folder / f"{name}.png")).astype(int) for name in ("add", "subtract"))
        ramp = np.broadcast_to(np.arange(256)[:, None, None, None], (256, *first.shape))
        assert (np.maximum(np.minimum(ramp + first, 255) - second, 0) == page.overlay(ramp.astype(np.uint8))).all()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_arrays_hold_all_that_the_arithmetic_needs(path: Path, tmp_path: Path) -> None:
    prompt = load_committee(path)
    export_prompt(prompt, tmp_path, "arrays")
    for page, folder in zip(prompt.pages, folders(prompt, tmp_path), strict=True):
        result, canvas = np.load(folder / "arrays.npz", allow_pickle=False), page.canvas.make(IMAGE)
        assert (result["rgba"] == page.rgba).all()
        assert result["theta"].dtype == np.float32
        if page.blend == "add":
            prompted = (canvas + result["delta"]).clip(0, 255)
            assert np.abs(result["theta"] * 255 - result["delta"]).max() <= 0.5 + 1e-4
        else:
            alpha = result["theta"][..., 3:].astype(float)
            prompted = np.rint(255 * result["theta"][..., :3] * alpha + canvas * (1 - alpha))
        assert (prompted == page.overlay(canvas)).all()
        assert (page.overlay(canvas)[~result["mask"]] == canvas[~result["mask"]]).all()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_networks_give_the_same_pixels_and_logits(path: Path, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    prompt = load_committee(path)
    export_prompt(prompt, tmp_path, "onnx")
    for page, folder in zip(prompt.pages, folders(prompt, tmp_path), strict=True):
        canvases = np.stack([page.canvas.make(IMAGE), 255 - page.canvas.make(IMAGE)])
        (outputs,) = runtime.InferenceSession(folder / "prompt.onnx").run(None, {"canvas": canvases})
        assert outputs.dtype == np.uint8
        assert (outputs == page.overlay(canvases)).all()
    if prompt.output:
        rows = answers(prompt.output)
        session = runtime.InferenceSession(tmp_path / "output.onnx")
        logits, shares = session.run(None, {"outputs": rows})
        spec = ModelSpec(
            "", (1, 1), 5, AnswerKind(prompt.output["answer"]), labels=tuple(prompt.output.get("labels", ()))
        )
        assert logits == pytest.approx(SavedOutput(prompt.output, spec)(rows), abs=1e-4)
        assert shares.sum(1) == pytest.approx(np.ones(len(rows)), abs=1e-5)
        assert session.get_modelmeta().custom_metadata_map["classes"].split("\n") == prompt.output["classes"]


LINEAR = [path for path in FILES if load_committee(path).output.get("answer") in ("logits", "embeddings")]
"""Those whose scores are the answers themselves; the networks above have the formulas of the others."""


@pytest.mark.parametrize("path", LINEAR, ids=lambda path: path.stem)
def test_one_table_of_numbers_reads_every_kind_of_output(path: Path, tmp_path: Path) -> None:
    prompt = load_committee(path)
    export_prompt(prompt, tmp_path, "arrays")
    table = json.loads((tmp_path / "output.json").read_text())
    rows = answers(prompt.output).astype(float)
    logits = rows @ np.array(table["weight"]) + np.array(table["bias"])
    every = np.repeat(logits.min(1, keepdims=True) - 1, len(table["classes"]), axis=1)
    every[:, table["present"]] = logits
    spec = ModelSpec("", (1, 1), 5, AnswerKind(table["answer"]))
    assert every == pytest.approx(SavedOutput(prompt.output, spec)(rows.astype(np.float32)), abs=1e-4)


def test_of_a_cascade_both_stages_are_written(tmp_path: Path) -> None:
    whole = load_committee(GOLDEN / "format/prompts/committee.png")
    first = {"kind": "given", "classes": whole.output["classes"], "mapping": [[0], [1], [2]]}
    first |= {"num_outputs": 5, "answer": "logits"}
    export_prompt(replace(whole, cascade={"threshold": 0.25, "output": first}), tmp_path, "onnx")
    payload = json.loads((tmp_path / "cascade.json").read_text())
    assert (payload["threshold"], payload["views"], len(payload["weight"])) == (0.25, 1, 5)
    assert json.loads((tmp_path / "output.json").read_text())["views"] == 3
    assert (tmp_path / "cascade.onnx").exists()
    with pytest.raises(PromptError, match="lacks threshold"):
        export_prompt(replace(whole, cascade={"output": first}), tmp_path, "arrays")


def test_the_steps_are_those_that_do_something(tmp_path: Path) -> None:
    export_prompt(load_committee(GOLDEN / "format/prompts/committee.png"), tmp_path, "overlay")
    steps = [
        [step["step"] for step in json.loads((tmp_path / f"view-{n}/canvas.json").read_text())["steps"]]
        for n in (1, 2, 3)
    ]
    fit = ["limit aspect", "resize", "crop"]
    assert steps == [fit, ["flip", *fit, "paste"], [*fit, "tone", "rotate"]]


def test_the_command_writes_and_says_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(GOLDEN / "format/prompts/add-crop.png")
    assert main(["export", source, "--to", "pair", "--out", str(tmp_path / "out"), "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert sorted(output["files"]) == sorted(str(path) for path in (tmp_path / "out").iterdir())
    assert main(["export", source, "--to", "overlay", "--out", str(tmp_path / "no")]) == 1
    assert "'pair' is exact" in capsys.readouterr().err


def test_a_prompt_that_only_saturates_is_an_overlay_and_one_of_opaque_pixels_a_pair(tmp_path: Path) -> None:
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[0], rgba[1], rgba[2] = (255, 255, 255, 255), (1, 1, 1, 255), (128, 128, 128, 255)
    prompt = Committee.of(Prompt(rgba, Canvas((4, 4)), "add", 1.0, {"name": "full"}))
    export_prompt(prompt, tmp_path, "overlay")
    assert (
        np.asarray(Image.open(tmp_path / "overlay.png"))[:3, 0] == [(255, 255, 255, 255), (0, 0, 0, 255), (0, 0, 0, 0)]
    ).all()
    export_prompt(Committee.of(Prompt(rgba, Canvas((4, 4)), "over", None, {"name": "full"})), tmp_path, "pair")


def test_onnx_names_its_package_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "onnx.checker", raising=False)
    source = str(GOLDEN / "format/prompts/add-crop.png")
    assert main(["export", source, "--to", "onnx", "--out", str(tmp_path / "out")]) == 1
    assert "onnx" in capsys.readouterr().err


def test_every_form_has_a_line() -> None:
    assert list(FORMS) == ["overlay", "pair", "arrays", "onnx"]
