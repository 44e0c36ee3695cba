"""`pixprompt train --budget`: callables of every kind on the command line, kills, exit codes."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from pixprompt.cli import main

from .toy import Toy, start

SERVICE = """
import os
import time

import numpy as np
from PIL import Image


def _asked():
    with open("asked.txt", "a") as file:
        file.write("x")


def _scores(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image, float)
    rows = pixels[4:-4, 4:-4]
    stripes = rows[::2].mean() - rows[1::2].mean()
    red, green, _ = rows.mean((0, 1))
    return np.array([green - red, red - green, abs(stripes)]) / 20


def shares(image: Image.Image) -> dict[str, float]:
    _asked()
    found = np.exp(_scores(image))
    return dict(zip(("grass", "brick", "zebra"), (found / found.sum()).tolist()))


def likeliest(image: Image.Image) -> list[tuple[str, float]]:
    return sorted(shares(image).items(), key=lambda pair: -pair[1])[:2]


def label(image: Image.Image) -> str:
    return likeliest(image)[0][0]


def sentence(image: Image.Image) -> str:
    return f"I think that this is {label(image)}, most likely."


def logits(images: list[Image.Image]) -> np.ndarray:
    for _ in images:
        _asked()
    return np.stack([_scores(image) for image in images])


def array(images: np.ndarray):
    return logits([Image.fromarray(image) for image in images])


def slow(images: np.ndarray):
    time.sleep(0.01)
    return array(images)


array.takes = slow.takes = "array"
sentence.labels = ["grass", "brick", "zebra"]
for _function in (shares, likeliest, label, sentence, logits, array, slow):
    _function.image_size = (16, 16)
"""


@pytest.fixture
def service(toy: Toy) -> Toy:
    (toy.folder / "toy_service.py").write_text(SERVICE)
    return toy


def arguments(toy: Toy, name: str, *options: str, budget: int = 120) -> list[str]:
    return [
        *("train", "--model", f"python:toy_service:{name}", "--data", toy.data, "--size", "4", "--out", "run"),
        *("--budget", str(budget), *options),
    ]


def num_queries() -> int:
    return len(Path("asked.txt").read_text())


def result() -> dict[str, Any]:
    values: dict[str, Any] = json.loads(Path("run/result.json").read_text())
    return values


@pytest.mark.parametrize("name", ["shares", "likeliest", "label", "sentence", "logits", "array"])
def test_every_kind_of_answer_is_learned_from(name: str, service: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(service, name, "--json")) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == result()
    assert num_queries() == printed["queries"]["images"] <= 120
    assert printed["accuracy"]["prompt_png"]["test"] >= 0.5  # a third is chance
    assert main(["evaluate", "run/prompt.png", "--model", f"python:toy_service:{name}", "--data", service.data]) == 0
    images = [str(path) for path in service.images("test")[:4]]
    capsys.readouterr()
    assert main(["predict", "run/prompt.png", *images, "--model", f"python:toy_service:{name}"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["path"] for line in lines] == images
    assert {line["label"] for line in lines} <= {"green", "red", "striped"}


def test_the_dry_run_asks_one_image_at_most(service: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(service, "shares", "--dry-run", "--price-per-1000", "2", "--json")) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["queries"]["total"] <= 120
    assert planned["cost"] == pytest.approx(planned["queries"]["total"] * 0.002)
    assert num_queries() == 1  # to see what it answers
    assert main(arguments(service, "shares", "--dry-run")) == 0
    assert "to fit the output transform" in capsys.readouterr().out


@pytest.mark.slow
def test_a_killed_run_buys_no_answer_twice_but_the_one_on_its_way(service: Toy) -> None:
    """kill -9, three times at different moments; what was answered is in the ledger."""
    options = ("--output", "blm", "--basis", "blocks", "--basis-size", "4")
    run = arguments(service, "slow", *options, budget=900)
    for delay in (0.15, 0.4, 0.7):
        process = start(run, service.folder)
        while not Path("run/ledger.sqlite").exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        run = ["train", "--resume", "run"]
    process = start(run, service.folder)
    _, stderr = process.communicate(timeout=600)
    assert process.returncode == 0, stderr
    spent = result()["queries"]["images"]
    assert num_queries() <= 900 + 3  # each start asks one grey image to see what comes
    assert spent <= 900
    with sqlite3.connect("run/ledger.sqlite") as ledger:
        assert ledger.execute("pragma integrity_check").fetchone() == ("ok",)


def test_a_budget_that_is_used_up_has_an_exit_code_of_its_own(service: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(service, "array", budget=60)) == 0
    Path("run/result.json").unlink()
    with sqlite3.connect("run/ledger.sqlite") as ledger:  # as if all of it had been lost on the way
        ledger.execute("delete from queries")
        ledger.execute("update requests set images = 60")
    capsys.readouterr()
    assert main(["train", "--resume", "run"]) == 3
    assert "--budget" in capsys.readouterr().err
    assert main(["train", "--resume", "run", "--budget", "200"]) == 0
    assert result()["queries"]["images"] <= 200
    assert main(["train", "--resume", "run", "--size", "6"]) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--max-cost", "1"), "--price-per-1000"),
        (("--method", "blackvip"), "--encoder"),
        (("--method", "bar", "--optimizer", "adam"), "answers alone"),
        (("--optimizer", "adm"), "Did you mean"),
        (("--space", "unclamped"), "--space pixel"),
        (("--basis", "wavelets"), "wavelets"),
        (("--method", "bar", "--blend", "add"), "opaque"),
        (("--optimizer", "cma", "--basis", "pixels", "--lr", "0.1"), "lr"),
    ],
)
def test_settings_that_make_no_sense_cost_nothing(
    options: tuple[str, ...], message: str, service: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(service, "array", *options, budget=2000)) == 2
    assert message in capsys.readouterr().err
    assert not Path("asked.txt").exists() or num_queries() <= 1
