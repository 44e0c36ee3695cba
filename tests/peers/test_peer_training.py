"""Whole runs through the peers: the ledger adds up, and the prompt is the same whoever serves the model."""

from __future__ import annotations

import json
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixprompt.cli import main
from pixprompt.core import PixpromptError
from pixprompt.ledger.summary import read_ledger
from pixprompt.models import load_model
from pixprompt.serving import Server, Service

from ..cli.toy import write_pictures
from .conftest import needs, write_repository
from .served.linear import SIDE
from .servers import SERVED, Triton, free_port, triton

pytestmark = [pytest.mark.peers, pytest.mark.slow]

LOCAL = """
import torch
from peer_linear import score

def model(images):
    return torch.from_numpy(score(images.numpy()))
"""
BUDGET = 1000


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The current folder with pictures of three classes, and a module with the model for `pixprompt serve`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for seed, (split, count) in enumerate({"train": 36, "val": 36, "test": 18}.items()):
        write_pictures(tmp_path / "images" / split, count, seed, size=SIDE)
    shutil.copy(SERVED / "linear.py", "peer_linear.py")
    Path("peer_local.py").write_text(LOCAL)
    return f"folder:{tmp_path / 'images'}"


def train(url: str, data: str, out: str) -> list[str]:
    options = ("--size", "6", "--output", "frequency", "--budget", str(BUDGET), "--price-per-1000", "1.5")
    return ["train", "--model", url, "--data", data, *options, "--concurrency", "3", "--out", out]


def run_json(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> Any:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def pixels(folder: str) -> np.ndarray[Any, Any]:
    with Image.open(Path(folder) / "prompt.png") as image:
        return np.asarray(image)


def check_run(url: str, data: str, out: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Trains, reads the ledger, and has the prompt predict; returns what the run says of itself."""
    result = run_json(capsys, train(url, data, out))
    report = run_json(capsys, ["ledger", out])
    assert 0 < report["answers"] == report["queries"] == result["queries"]["images"] <= BUDGET
    assert report["requests"] == report["answered"] == result["queries"]["requests"]
    assert report["in_doubt"]["requests"] == report["failed"] == 0
    assert report["cost"] == pytest.approx(report["queries"] * 0.0015)
    assert report["bytes"]["received"] > 0
    photos = [str(path) for path in sorted(Path("images/test").rglob("*.png"))]
    predicted = run_json(capsys, ["predict", f"{out}/prompt.png", *photos, "--model", url, "--ledger", f"{out}.sqlite"])
    lines = predicted["predictions"]
    assert [line["path"] for line in lines] == photos
    share = np.mean([line["label"] == Path(line["path"]).parent.name for line in lines])
    assert share == pytest.approx(result["accuracy"]["prompt_png"]["test"])
    answers = [(line["label"], line["top"]) for line in lines]
    steps = [json.loads(line) for line in (Path(out) / "history.jsonl").read_text().splitlines()]
    for step in steps:
        step.pop("seconds", None)
    return {"accuracy": result["accuracy"], "queries": report["queries"], "answers": answers, "steps": steps}


def test_the_prompt_is_the_same_whoever_serves_the_model(
    pictures: str, triton_url: str, mlserver_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Server(Service(load_model(f"python:peer_local:model@{SIDE}"), name="linear")) as served:
        ours = check_run(served.url, pictures, "ours", capsys)
    assert check_run(f"{triton_url}/linear", pictures, "triton", capsys) == ours
    assert check_run(f"{mlserver_url}/linear", pictures, "mlserver", capsys) == ours
    for other in ("triton", "mlserver"):
        np.testing.assert_array_equal(pixels(other), pixels("ours"))
    assert len(ours["steps"]) > 3
    assert ours["accuracy"]["prompt_png"]["test"] > ours["accuracy"]["no_prompt"]["test"] + 0.3


def check_committee(url: str, data: str, out: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Learns a committee with a cascade and predicts with it; returns what it is and what it says."""
    options = ("--views", "3", "--cascade", "auto", "--predictions", "100000", "--output", "ridge")
    command = ("train", "--model", url, "--data", data, *options, "--budget", "1500", "--out", out)
    result = run_json(capsys, [*command])
    learned = run_json(capsys, ["ledger", out])
    assert 0 < learned["answers"] == learned["queries"] == result["queries"]["images"] <= 1500
    assert result["best"] == "prompt"
    assert len(result["views"]["views"]) == 3
    photos = [str(path) for path in sorted(Path("images/test").rglob("*.png"))]
    predicted = run_json(capsys, ["predict", out, *photos])
    used = run_json(capsys, ["ledger", out])["queries"] - learned["queries"]
    assert used == predicted["queries"] <= 3 * len(photos)
    every = run_json(capsys, ["predict", out, *photos, "--no-cascade"])
    assert run_json(capsys, ["ledger", out])["queries"] - learned["queries"] == used + every["queries"]
    return {
        "accuracy": result["accuracy"],
        "views": result["views"]["views"],
        "price": result["queries"]["per_prediction"],
        "answers": [(line["label"], line["top"]) for line in predicted["predictions"]],
        "queries": (learned["queries"], predicted["queries"], every["queries"]),
    }


def test_a_committee_is_the_same_whoever_serves_the_model(
    pictures: str, triton_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Server(Service(load_model(f"python:peer_local:model@{SIDE}"), name="linear")) as served:
        ours = check_committee(served.url, pictures, "ours", capsys)
    assert check_committee(f"{triton_url}/linear", pictures, "triton", capsys) == ours
    np.testing.assert_array_equal(pixels("triton"), pixels("ours"))
    assert ours["price"] < 3


def test_a_triton_that_is_killed_during_a_run_costs_no_answer(
    pictures: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needs("triton")
    repository, port, over = write_repository(tmp_path / "models"), free_port(), threading.Event()

    def kill(peer: Triton) -> None:
        while not over.is_set():
            time.sleep(0.01)
            with suppress(PixpromptError):  # it is not there yet
                if read_ledger("run/ledger.sqlite")["answers"] >= 400:
                    peer.kill()
                    return

    with triton(repository, tmp_path / "log.txt", load=("linear",), port=port) as peer:
        url = f"{peer.models}/linear"
        run_json(capsys, train(url, pictures, "whole"))
        killer = threading.Thread(target=kill, args=(peer,))
        killer.start()
        try:
            code = main([*train(url, pictures, "run"), "--deadline", "2"])
        finally:
            over.set()
            killer.join()
    assert code == 4
    assert "are answered and kept" in capsys.readouterr().err
    before = read_ledger("run/ledger.sqlite")
    with triton(repository, tmp_path / "log.txt", load=("linear",), port=port):
        result = run_json(capsys, ["train", "--resume", "run", "--in-doubt", "retry"])
    after = read_ledger("run/ledger.sqlite")
    assert before["answers"] >= 400
    assert after["answers"] == read_ledger("whole/ledger.sqlite")["answers"]
    assert result["accuracy"] == json.loads(Path("whole/result.json").read_text())["accuracy"]
    np.testing.assert_array_equal(pixels("run"), pixels("whole"))
