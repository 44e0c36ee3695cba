"""`pixprompt evaluate` and `predict`: the file gives back what its run reported, on the very pixels of `apply`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixprompt.cli import main
from pixprompt.prompt import load

from ..images import make_prompt, picture, read_rgb, write_broken
from .toy import CLASSES, Toy, write_pictures


@pytest.fixture
def trained(toy: Toy, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The result of a run in `run` whose prompt is not empty; --shots, so that a lost setting would show."""
    assert main(toy.train("run", "--epochs", "6", "--shots", "6", "--json")) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert load("run/prompt.png").template["name"] == "padding"
    return result


def images_asked_about(toy: Toy) -> np.ndarray:
    """Everything that the recording model was asked since the last call, as 8-bit pixels (N, H, W, 3)."""
    batches = sys.modules[toy.module].seen
    del batches[0]  # the one grey image of a new model
    images = np.concatenate([batch.permute(0, 2, 3, 1).numpy() for batch in batches]) * 255
    batches.clear()
    assert np.abs(images - images.round()).max() < 1e-4  # every one is a possible image file
    return images.round().astype(np.uint8)


# evaluate ------------------------------------------------------------------------------------------------------------


def test_a_run_directory_gives_its_own_score_again(
    toy: Toy, trained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "run", "--json", "--device", "cpu", "--price-per-1000", "100"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result.keys() == trained.keys()
    assert result["accuracy"]["prompt_png"] == trained["accuracy"]["prompt_png"]
    assert result["accuracy"] == trained["accuracy"]
    assert (result["model"], result["data"]) == (toy.model(), toy.data)
    assert result["counts"] == trained["counts"]
    assert result["queries"]["images"] == trained["counts"]["val"] + trained["counts"]["test"]
    assert result["queries"]["cost"] == pytest.approx(result["queries"]["images"] / 10)


def test_a_png_alone_gives_the_same_test_score(
    toy: Toy, trained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    moved = Path("elsewhere.png")
    moved.write_bytes(Path("run/prompt.png").read_bytes())
    arguments = ["evaluate", str(moved), "--model", toy.model(), "--data", toy.data, "--device", "cpu"]
    assert main([*arguments, "--json"]) == 0
    score = json.loads(capsys.readouterr().out)["accuracy"]["prompt_png"]
    for key in ("test", "ci95", "output"):
        assert score[key] == trained["accuracy"]["prompt_png"][key]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert f"{score['val']:7.3f}{score['test']:8.3f}" in out


def test_apply_writes_exactly_the_pixels_that_evaluate_scores(toy: Toy, trained: dict[str, Any]) -> None:
    assert main(["apply", "run/prompt.png", str(toy.folder / "images/test"), "--out", "made", "--workers", "2"]) == 0
    arguments = ["--model", toy.model("recorded"), "--device", "cpu"]
    assert main(["evaluate", "run/prompt.png", "--data", toy.data, *arguments]) == 0
    scored = images_asked_about(toy)
    applied = np.stack([read_rgb(path) for path in sorted(Path("made").rglob("*.png"))])
    plain = np.stack([read_rgb(path) for path in toy.images("test")])
    assert len(applied) == len(plain) == 18
    assert np.array_equal(scored[-18:], applied)
    assert np.array_equal(scored[15:33], plain)  # the rung without a prompt, after 15 images of val
    assert not np.array_equal(applied, plain)
    assert main(["predict", "run/prompt.png", str(toy.folder / "images/test"), *arguments]) == 0
    assert np.array_equal(images_asked_about(toy)[-18:], applied)
    assert main(["predict", "run/prompt.png", str(toy.folder / "images/test"), *arguments, "--no-prompt"]) == 0
    assert np.array_equal(images_asked_about(toy)[-18:], plain)


def test_classes_that_differ_are_wrong_usage_and_both_are_named(
    toy: Toy, trained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures(Path("others"), 30, seed=9)
    Path("others/striped").rename("others/dotted")
    assert main(["evaluate", "run", "--data", "folder:others", "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "'green' in the prompt, 'dotted' in the data" in captured.err


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_a_model_of_another_canvas_size_is_refused_with_both_sizes(
    toy: Toy, trained: dict[str, Any], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rest = ["--data", toy.data] if command == "evaluate" else [str(toy.images("test")[0])]
    assert main([command, "run/prompt.png", *rest, "--model", toy.model("net", 20)]) == 1
    message = capsys.readouterr().err
    assert "canvases of 16x16 pixels" in message
    assert "takes 20x20" in message


def test_a_model_with_other_outputs_is_refused(
    toy: Toy, trained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "run", "--model", toy.model("wide")]) == 1
    assert "made for 6 outputs" in capsys.readouterr().err


def test_a_prompt_that_was_changed_or_has_no_output_is_refused(
    toy: Toy, trained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with Image.open("run/prompt.png") as image:
        image.save("stripped.png")
    content = Path("run/prompt.png").read_bytes()
    Path("changed.png").write_bytes(content.replace(b'"seed": 0', b'"seed": 1'))
    bare = make_prompt((16, 16), padding=4)
    object.__setattr__(bare, "output", {})
    bare.save("bare.png")
    for name, reason in (
        ("stripped.png", "no 'pixprompt' metadata"),
        ("changed.png", "changed.png"),
        ("bare.png", "it can only be applied"),
        ("none.png", "No such file"),
    ):
        for rest in (["evaluate", name, "--data", toy.data], ["predict", name, str(toy.images("test")[0])]):
            assert main([*rest, "--model", toy.model()]) == 1, name
            captured = capsys.readouterr()
            assert captured.out == ""
            assert captured.err.startswith("Error: ")
            assert reason in captured.err


def test_a_picture_does_not_decide_which_python_code_runs(
    toy: Toy, trained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for rest in (["evaluate", "run/prompt.png", "--data", toy.data], ["predict", "run/prompt.png", "run/prompt.png"]):
        assert main(rest) == 2
        assert f"If you trust it: --model {toy.model()}" in capsys.readouterr().err


def test_a_png_does_not_know_its_data(toy: Toy, trained: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "run/prompt.png", "--model", toy.model()]) == 2
    assert "--data" in capsys.readouterr().err
    Path("empty").mkdir()
    assert main(["evaluate", "empty"]) == 2
    assert "empty is no run directory" in capsys.readouterr().err


# predict -------------------------------------------------------------------------------------------------------------


def test_predict_keeps_the_order_and_reports_what_cannot_be_read(
    toy: Toy, trained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    broken = write_broken(Path("broken"))
    single = Path("photo.odd")
    picture(70, 50).save(single, "PNG")
    inputs = map(str, [single, broken[0], f"file://{toy.folder}/images/test/red", *broken[1:]])
    arguments = ["predict", "run/prompt.png", *inputs, "--model", toy.model(), "--top", "2"]
    assert main(arguments) == 1
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    reds = [path for path in toy.images("test") if path.parent.name == "red"]
    assert [line["path"] for line in lines] == [str(path) for path in [single, broken[0], *reds, *broken[1:]]]
    assert {line["path"] for line in lines if "error" in line} == {str(path) for path in broken}
    assert "4 of the images could not be read" in captured.err
    for line in lines:
        if "error" in line:
            assert line.keys() == {"path", "error"}
            continue
        assert line.keys() == {"path", "label", "probability", "top"}
        assert (line["label"], line["probability"]) == tuple(line["top"][0].values())
        assert len(line["top"]) == 2
        assert 1 >= line["top"][0]["probability"] >= line["top"][1]["probability"] >= 0
    assert main([*arguments, "--json"]) == 1
    together = json.loads(capsys.readouterr().out)
    assert together == {"predictions": lines, "queries": len(lines) - len(broken)}


def test_predict_and_evaluate_agree(toy: Toy, trained: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "run", str(toy.folder / "images/test"), "--json", "--top", "9"]) == 0
    lines = json.loads(capsys.readouterr().out)["predictions"]
    hits = [Path(line["path"]).parent.name == line["label"] for line in lines]
    assert sum(hits) / len(hits) == pytest.approx(trained["accuracy"]["prompt_png"]["test"])
    for line in lines:
        assert {guess["label"] for guess in line["top"]} == set(CLASSES)
        assert sum(guess["probability"] for guess in line["top"]) == pytest.approx(1, abs=3e-6)


def test_a_tie_goes_to_the_first_class_in_both(
    toy: Toy, trained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(toy.train("tied", "--output", "first-k", "--epochs", "1")) == 0
    capsys.readouterr()
    assert main(["predict", "tied", str(toy.folder / "images/test"), "--model", toy.model("equal"), "--json"]) == 0
    assert {line["label"] for line in json.loads(capsys.readouterr().out)["predictions"]} == {CLASSES[0]}
    assert main(["evaluate", "tied", "--model", toy.model("equal"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"]["prompt_png"]["test"] == pytest.approx(1 / 3)


def test_predict_finds_wrong_usage_before_it_asks_anything(
    toy: Toy, trained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    image = str(toy.images("test")[0])
    for inputs, words in (
        ([image, "none.png"], "does not exist"),
        ([image, "run", "--top", "0"], "x>=1"),
        ([], "Missing argument"),
    ):
        assert main(["predict", "run", *inputs, "--model", toy.model("recorded")]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert words in captured.err
        assert not sys.modules[toy.module].seen


def test_an_empty_folder_among_the_inputs_is_found_before_anything_is_asked(
    toy: Toy, trained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("nothing").mkdir()
    assert main(["predict", "run", str(toy.images("test")[0]), "nothing", "--model", toy.model("recorded")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "nothing: no images found" in captured.err
    assert len(sys.modules[toy.module].seen) == 1  # the one grey image


def test_lines_in_a_file_are_continued(toy: Toy, trained: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    write_broken(toy.folder / "images/test/odd")
    arguments = ["predict", "run", str(toy.folder / "images/test"), "--model", toy.model("recorded"), "--out"]
    assert main([*arguments, "whole.jsonl"]) == 1
    whole = Path("whole.jsonl").read_bytes()
    assert [Path(json.loads(line)["path"]).name for line in whole.splitlines()][:3] == ["000.png", "003.png", "006.png"]
    total = len(images_asked_about(toy))
    Path("cut.jsonl").write_bytes(whole[: whole.index(b"\n") + 30])  # a line and a half
    assert main([*arguments, "cut.jsonl"]) == 2
    assert main([*arguments, "cut.jsonl", "--resume", "--json"]) == 1
    assert Path("cut.jsonl").read_bytes() == whole
    assert len(images_asked_about(toy)) == total - 1
    capsys.readouterr()
    arguments[2] = str(toy.folder / "images/val")
    assert main([*arguments, "cut.jsonl", "--resume"]) == 2
    assert "Give the same inputs" in capsys.readouterr().err
