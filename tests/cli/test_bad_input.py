"""Bad input to `train`: a clear error with its exit code or a sensible reading, and nothing lost."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pixprompt.adapters import METHODS
from pixprompt.cli import main
from pixprompt.core import RangeError, ShapeError
from pixprompt.data import DATASETS
from pixprompt.models import MODELS, as_model
from pixprompt.optimizers import OPTIMIZERS
from pixprompt.outputs import OUTPUTS
from pixprompt.registry import Registry
from pixprompt.templates import TEMPLATES

from ..images import make_prompt, write_broken
from .toy import COUNTS, Toy, start, write_pictures


def refused(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str], *, out: str = "run") -> str:
    """Runs into an error that leaves no run directory and prints nothing on stdout; returns the message."""
    assert main([*arguments, "--json"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert not Path(out).exists()
    assert "unexpected" not in captured.err
    assert captured.err.count("Error: ") == 1
    return captured.err


# Names and settings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "registry"),
    [
        ("--model", MODELS),
        ("--data", DATASETS),
        ("--method", METHODS),
        ("--template", TEMPLATES),
        ("--output", OUTPUTS),
        ("--optimizer", OPTIMIZERS),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_misspelt_name_is_wrong_usage_with_a_suggestion(
    toy: Toy, option: str, registry: Registry[object], dry: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in registry:
        message = refused(toy.train("run", option, f"{name}x", *dry), 2, capsys)
        assert f"'{name}x'" in message
        assert re.search(r"Did you mean '[^']+'\?", message)
        assert name in message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--size", "8"], "padding"),
        (["--size", "0"], "1.."),
        (["--template", "patch", "--size", "17"], "1..16"),
        (["--template", "patch", "--fit", "shrink"], "leaves an inside"),
        (["--batch-size", "0"], "batch_size must be at least 1, got 0"),
        (["--epochs", "-1"], "epochs must be at least 0"),
        (["--lr", "nan"], "lr must be at least 0"),
        (["--momentum", "1"], "momentum must be at least 0 and below 1"),
        (["--workers", "-1"], "workers must be at least 0"),
        (["--seed", "-1"], "seed"),
        (["--shots", "0"], "shots"),
        (["--blend", "ad"], "'add', 'over'"),
        (["--epochs", "three"], "not a valid integer"),
        (["--device", "cuda:99"], "cuda:99"),
        (["--space", "unclamped", "--blend", "over"], "blend 'add'"),
        (["--output", "given"], "needs a mapping file"),
        (["--output", "text"], "does not go with logits"),
        (["--config", "none.json"], "none.json is no file of settings"),
    ],
)
def test_settings_that_make_no_sense_are_wrong_usage_before_anything_is_asked(
    toy: Toy, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = "net" if "--space" in options else "recorded"
    assert words in refused(toy.train("run", *options, model=model), 2, capsys)
    module = sys.modules.get(toy.module)
    assert module is None or len(module.seen) <= 1  # the one grey image


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no json", "is no file of settings"),
        (b"\xff\xfe", "is no file of settings"),
        (b"[1]", "expected a JSON object"),
        (b'{"epoch": 3}', "Did you mean 'epochs'"),
        (b'{"epochs": "3"}', "epochs must be a whole number, got '3'"),
        (b'{"epochs": true}', "epochs must be a whole number"),
        (b'{"self": 1}', "unknown setting 'self'"),
        (b'{"seed": null}', "seed must be a whole number, got None"),
        (b'{"lr": []}', "lr must be a number"),
        (b'{"model": 3}', "model must be text"),
        (b'{"precision": "fp23"}', "Did you mean 'fp32'"),
    ],
)
def test_a_config_file_that_cannot_be_used(
    toy: Toy, content: bytes, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("c.json").write_bytes(content)
    message = refused(["train", "--config", "c.json", "--out", "run"], 2, capsys)
    assert "c.json" in message
    assert words in message


def test_an_output_folder_in_use_unwritable_or_unfinished(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    Path("used").mkdir()
    Path("used/thesis.txt").write_text("mine")
    assert main(toy.train("used")) == 2
    assert "used is not empty. Choose another --out" in capsys.readouterr().err
    assert os.listdir("used") == ["thesis.txt"]
    for out in ("used/thesis.txt", "used/thesis.txt/run"):
        assert main(toy.train(out)) == 1
        assert f"cannot create the folder {out}" in capsys.readouterr().err
    assert Path("used/thesis.txt").read_text() == "mine"
    assert main(["train", "--resume", "used"]) == 2
    assert "used is no run directory" in capsys.readouterr().err


# Images and labels ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_unreadable_images_are_named_on_stderr_and_the_run_goes_on(toy: Toy) -> None:
    write_broken(toy.folder / "images/train/red")
    write_broken(toy.folder / "images/test/red")
    process = start(toy.train("run", "--json"), toy.folder)
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["counts"] == COUNTS  # those that can be read
    for name in ("bomb.png", "empty.jpg", "text.png", "truncated.jpg"):
        for split in ("train", "test"):
            assert f"images/{split}/red/{name}: " in stderr
    assert "4 of 28 images cannot be read" in stderr
    assert "Traceback" not in stderr


def test_a_split_without_a_readable_image_is_an_error(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    for path in toy.images("val"):
        path.write_bytes(b"")
    assert main(toy.train()) == 1
    message = capsys.readouterr().err
    assert "none of the 15 images can be read" in message
    assert toy.images("val")[0].name in message


def test_a_class_that_loses_all_its_training_images_does_not_end_the_run(toy: Toy) -> None:
    for path in (toy.folder / "images/train/red").iterdir():
        path.write_bytes(b"no picture")
    for output in ("iterative", "blm", "linear"):
        assert main(toy.train(output, "--output", output)) == 0
        counts = json.loads(Path(output, "result.json").read_text())["counts"]
        assert counts == COUNTS | {"train": 16}


def one_image(folder: Path) -> None:
    write_pictures(folder, 12, 0)
    for path in sorted((folder / "red").iterdir())[1:]:
        path.unlink()


def lacking(split: str, folder: Path) -> None:
    for part in ("train", "val", "test"):
        write_pictures(folder / part, 12, 0)
    for path in (folder / split / "red").iterdir():
        path.unlink()


def twice(folder: Path) -> None:
    write_pictures(folder, 12, 0)
    (folder / "red").rename(folder / "sea lion")
    (folder / "green").rename(folder / "Sea_Lion")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (one_image, "red (1)"),
        (lambda folder: lacking("train", folder), "train lacks: 'red'"),
        (twice, "'Sea_Lion' and 'sea lion' differ only in case"),
        (lambda folder: None, "no such folder"),
        (lambda folder: folder.mkdir(), "expected one folder per class"),
        (lambda folder: folder.write_text("x"), "expected a folder, this is a file"),
    ],
)
def test_data_that_cannot_be_used_is_an_error_that_names_it(
    toy: Toy, make: object, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make(Path("pictures"))  # type: ignore[operator]
    message = refused(toy.train("run", "--data", "folder:pictures"), 1, capsys)
    assert "pictures" in message
    assert words in message


@pytest.mark.usefixtures("drawn")
def test_a_class_that_the_test_split_lacks_is_a_warning(toy: Toy, caplog: pytest.LogCaptureFixture) -> None:
    lacking("test", Path("pictures"))
    assert main(toy.train("run", "--data", "folder:pictures")) == 0
    assert "test has no image of 'red'" in caplog.text


# Models --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "code", "words"),
    [
        ("scores", 1, "needs GRADIENTS access, but python:{module}:scores@16 offers SCORES. Leave out --optimizer"),
        ("always_nan", 1, "returned NaN or infinity in 1 of 1 answers"),
        ("flat", 1, "returned a tensor (6,), expected (1, S)"),
        ("number", 1, "is int, expected a callable"),
        ("nett", 2, "has no attribute 'nett'. Did you mean 'net'?"),
        ("narrow", 2, "has only 2; choose 'blm'"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_model_that_cannot_be_used_is_an_error_before_anything_is_written(
    toy: Toy, model: str, code: int, words: str, dry: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert words.format(module=toy.module) in refused(toy.train("run", *dry, model=model), code, capsys)


@pytest.mark.parametrize(
    ("model", "words"),
    [("later_nan", "returned NaN or infinity in 8 of 8 answers"), ("changing", "(16, 5), expected (16, 6)")],
)
def test_a_model_that_goes_wrong_on_the_way_is_an_error_and_the_run_can_go_on(
    toy: Toy, model: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(toy.train("run", "--json", model=model)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    sys.modules[toy.module].calls[0] = -1000  # it has recovered
    assert main(["train", "--resume", "run"]) == 0 if model == "later_nan" else True


def test_a_caller_whose_images_are_not_in_range_is_told_min_max_and_the_cause() -> None:
    model = as_model(lambda images: images.mean((2, 3)), image_size=(16, 16), name="mine")
    with pytest.raises(RangeError, match=r"got min 0, max 255\. Still 0\.\.255\? Divide by 255"):
        model(torch.linspace(0, 255, 768).view(1, 3, 16, 16))
    with pytest.raises(RangeError, match=r"min -2, max 2\. Already normalised\?"):
        model(torch.linspace(-2, 2, 768).view(1, 3, 16, 16))
    with pytest.raises(ShapeError, match=r"got \(1, 16, 16, 3\)"):
        model(torch.zeros(1, 16, 16, 3))
    with pytest.raises(RangeError, match="uint8"):
        make_prompt((16, 16), padding=4).overlay(np.zeros((16, 16, 3), np.float32))
