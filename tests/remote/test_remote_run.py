"""The commands with --model URL, over loopback against the package's own server."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pixprompt.cli import main
from pixprompt.ledger.summary import read_ledger
from pixprompt.models import load_model
from pixprompt.serving import Request, Response, Server, Service

from ..cli.toy import Toy, write_pictures, write_toy
from ..images import make_prompt
from .fault_server import FaultServer
from .paid_server import answer, describe, images_of
from .scripted_sender import ScriptedSender, remote


class Counting(Service):
    """Counts the questions that would cost."""

    paid = 0

    def respond(self, request: Request) -> Response:
        self.paid += request.method == "POST"
        return super().respond(request)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return write_toy(tmp_path)


@pytest.fixture
def service(toy: Toy) -> Counting:
    return Counting(load_model(toy.model("net")), name="tiny")


@pytest.fixture
def url(service: Counting) -> Iterator[str]:
    with Server(service) as server:
        yield server.url


def train(toy: Toy, url: str, *options: str, budget: int = 120) -> list[str]:
    arguments = ("train", "--model", url, "--data", toy.data, "--size", "4", "--budget", str(budget), "--out", "run")
    return [*arguments, *options]


def run_json(capsys: pytest.CaptureFixture[str], code: int, arguments: list[str]) -> Any:
    assert main([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_the_dry_run_prints_everything_and_pays_nothing(
    toy: Toy, url: str, service: Counting, capsys: pytest.CaptureFixture[str]
) -> None:
    planned = run_json(capsys, 0, train(toy, url, "--dry-run", "--rate", "20", "--price-per-1000", "1.5", budget=1000))
    total = planned["queries"]["total"]
    assert planned["queries"]["reserve"] == 50
    assert planned["calls"] == {
        "first": "one image alone",
        "max_batch": 8,
        "requests": 1 + -(-(total - 1) // 8),
        "seconds": pytest.approx(total / 20),
    }
    assert planned["cost"] == pytest.approx(total * 1.5 / 1000)
    assert main(train(toy, url, "--dry-run")) == 0
    out = capsys.readouterr().out
    assert "time        is told after the first request; or give --rate" in out
    assert "one image alone, before any other" in out
    assert "--max-requests" not in out
    assert main(train(toy, url, "--dry-run", "--max-requests", "3")) == 0
    assert "--max-requests 3 is not enough" in capsys.readouterr().out
    assert (service.paid, Path("run").exists(), list(Path().glob("*.sqlite"))) == (0, False, [])


@pytest.mark.slow
def test_a_run_is_learned_scored_applied_and_read(
    toy: Toy, url: str, service: Counting, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*train(toy, url, "--concurrency", "3", "--price-per-1000", "2"), "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert re.search(rf"asks {url} about up to \d+ images \(\d+ requests or more, cost 0\.\d+\)", err)
    assert re.search(r"the first answer took \d+\.\d\d s: about \d+ s for \d+ requests", err)
    report = run_json(capsys, 0, ["ledger", "run"])
    assert result["queries"]["images"] == report["queries"] == report["answers"] <= 120
    assert result["queries"]["requests"] == report["requests"] == service.paid
    assert result["queries"]["cost"] == report["cost"] == pytest.approx(report["queries"] * 0.002)
    assert result["accuracy"]["prompt_png"]["test"] >= 0.5

    paid = service.paid
    scored = run_json(capsys, 0, ["evaluate", "run"])
    assert scored["accuracy"] == result["accuracy"]  # all of it from the ledger of the run
    assert (scored["queries"]["images"], service.paid) == (0, paid)

    assert main(["evaluate", "run/prompt.png", "--data", toy.data]) == 2
    assert "a file must not decide where images are sent" in capsys.readouterr().err
    scored = run_json(capsys, 0, ["evaluate", "run/prompt.png", "--data", toy.data, "--model", url])
    assert scored["accuracy"]["prompt_png"] == result["accuracy"]["prompt_png"]
    assert scored["queries"]["images"] == read_ledger("pixprompt-ledger.sqlite")["queries"] > 0


def test_predictions_are_in_order_and_resumed(
    toy: Toy, url: str, service: Counting, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(train(toy, url)) == 0
    photos = [str(path) for path in toy.images("test")]
    predict = ["predict", "run/prompt.png", *photos, "--model", url, "--ledger", "mine.sqlite"]
    capsys.readouterr()
    assert main([*predict, "--budget", "11"]) == 3  # not enough: nothing of this step is asked
    assert "Raise --budget" in capsys.readouterr().err
    paid = service.paid
    assert main(predict) == 0
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["path"] for line in lines] == photos
    assert "queries are written to mine.sqlite" in err
    assert service.paid - paid == 1 + -(-(len(photos) - 1) // 8)
    paid = service.paid
    again = run_json(capsys, 0, predict)
    assert again == {"predictions": lines, "queries": 0}
    assert service.paid == paid


def test_the_first_look_of_diagnose_is_kept_and_within_its_budget(
    toy: Toy, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(toy.folder / "reference", 12, 9)
    arguments = ["diagnose", "--data", toy.data, "--reference", f"folder:{toy.folder / 'reference'}", "--model", url]
    arguments += ["--inception", "none", "--lpips", "none", "--labelled", "4", "--ledger", "look.sqlite"]
    queries = [run_json(capsys, 0, arguments)["model"]["queries"] for _ in range(2)]
    assert queries == [12, 0]
    assert read_ledger("look.sqlite")["queries"] == 12
    monkeypatch.setattr("pixprompt.engine.inputs.opening.QUERIES", 10)  # what nobody gave a budget for is not planned
    result = run_json(capsys, 0, [*arguments[:-1], "new.sqlite", "--labelled", "9", "--price-per-1000", "2"])
    assert result["model"]["queries"] == 9
    assert read_ledger("new.sqlite")["cost"] == 0.018
    assert main([*arguments[:-1], "newer.sqlite", "--max-requests", "1"]) == 3
    assert not read_ledger("newer.sqlite")["requests"]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--protocol", "v3"), 2, "Known: huggingface"),
        (("--weights", "w.pt"), 2, "has its own"),
        (("--optimizer", "adam"), 1, "offers SCORES"),
        (("--endpoint", "nowhere.json"), 2, "no file 'nowhere.json'"),
        (("--rate", "0"), 2, "rate above 0"),
    ],
)
def test_what_makes_no_sense_costs_nothing(
    options: tuple[str, ...],
    code: int,
    message: str,
    toy: Toy,
    url: str,
    service: Counting,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(train(toy, url, *options)) == code
    assert message in capsys.readouterr().err
    assert service.paid == 0


def test_settings_of_a_url_are_refused_for_local_models(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(train(toy, toy.model("net"), "--protocol", "v2")) == 2
    assert "--protocol goes with a model behind a URL" in capsys.readouterr().err


def test_a_model_that_is_not_there_is_exit_code_4(toy: Toy, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(train(toy, url.replace("tiny", "other"))) == 4
    assert "other" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["png", "jpeg"])
def test_what_is_sent_is_what_apply_writes(name: str, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", 5, 3, size=40)
    prompt = make_prompt()
    prompt.save(tmp_path / "prompt.png")
    out = tmp_path / "out"
    assert main(["apply", str(tmp_path / "prompt.png"), str(tmp_path / "in"), "--out", str(out), "--format", name]) == 0
    model = remote(ScriptedSender(), files=True, encoding=name)
    for source in sorted((tmp_path / "in").rglob("*.png")):
        (written,) = (out / source.parent.name).glob(f"{source.stem}.*")
        picture = model.picture(prompt.overlay(prompt.canvas.make(Image.open(source)))).content
        assert hashlib.sha256(picture).hexdigest() == hashlib.sha256(written.read_bytes()).hexdigest()


@pytest.mark.slow
def test_a_run_that_is_interrupted_ends_with_the_same_prompt(
    toy: Toy, url: str, service: Counting, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(train(toy, url, "--in-doubt", "ask")) == 0
    Path("run").rename("whole")

    assert main(train(toy, url, "--max-requests", "4")) == 3
    assert "--max-requests" in capsys.readouterr().err
    with closing(sqlite3.connect("run/ledger.sqlite")) as file:  # as a crash would have left it
        file.execute("UPDATE requests SET answered = NULL, body = NULL WHERE id = 4")
        (doubtful,) = file.execute("SELECT images FROM requests WHERE id = 4").fetchone()
        file.execute("UPDATE queries SET outputs = NULL WHERE request = 4")
        file.commit()
    assert main(["train", "--resume", "run", "--max-requests", "1000"]) == 5
    assert "--in-doubt retry" in capsys.readouterr().err
    assert main(["train", "--resume", "run", "--max-requests", "1000", "--in-doubt", "retry"]) == 0
    assert Path("run/prompt.png").read_bytes() == Path("whole/prompt.png").read_bytes()
    result = json.loads(Path("run/result.json").read_text())
    assert result["queries"]["in_doubt"] == doubtful
    assert any("perhaps billed twice" in note for note in result["notes"])


def test_an_image_that_is_refused_has_a_line_and_the_others_go_on(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The endpoint refuses the request that holds a certain image, alone or among others."""

    def picky(body: bytes, headers: Any) -> Any:
        if any(hashlib.sha256(content).hexdigest() in bad for content in images_of(body)):
            return 400, {"Content-Type": "application/json"}, b'{"error": "too dark"}'
        return answer(body, headers)

    bad: set[str] = set()
    monkeypatch.setenv("SHOP_KEY", "k")
    photos = [str(path) for path in toy.images("test")[:10]]
    with FaultServer(picky) as server:
        described = describe(tmp_path, answer="top-k")
        assert main(train(toy, server.url, "--endpoint", str(described))) == 0
        assert main(["apply", "run/prompt.png", *photos, "--out", "sent"]) == 0
        bad.add(hashlib.sha256(Path("sent", Path(photos[5]).name).read_bytes()).hexdigest())
        predict = ["predict", "run/prompt.png", *photos, "--model", server.url, "--endpoint", str(described)]
        capsys.readouterr()
        assert main(predict) == 1
        out, err = capsys.readouterr()
        lines = [json.loads(line) for line in out.splitlines()]
        assert [line["path"] for line in lines] == photos
        assert ["error" in line for line in lines] == [index == 5 for index in range(10)]
        assert "too dark" in lines[5]["error"]
        assert "1 of the images could not be read or answered" in err
        billed = sum(received.billed for received in server.received)
        bad.clear()
        assert main(predict) == 0  # the one that was refused is asked again, the others are known
        assert sum(received.billed for received in server.received) == billed + 1
        bad |= {hashlib.sha256(path.read_bytes()).hexdigest() for path in Path("sent").iterdir()}
        assert main([*predict, "--ledger", "new.sqlite"]) == 4  # every image, so it is not the images
