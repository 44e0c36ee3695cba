"""Images that are refused, and images that nobody answered: named, left out of every number, and never made up."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pixprompt.cli import main
from pixprompt.core import EndpointError
from pixprompt.ledger.summary import read_ledger
from pixprompt.remote import RemoteModel
from pixprompt.remote.messages import Incoming
from pixprompt.remote.protocol import Declared, Endpoint
from pixprompt.remote.refusals import ImageRefused

from ..cli.toy import Toy, write_toy
from .events import LONG
from .fault_server import FaultServer
from .paid_server import answer, describe, images_of
from .scripted_sender import Pixels, ScriptedSender, images, journal, named


def picky(*bad: int, status: int = 400) -> Any:
    """Refuses each request that holds one of these images."""

    def play(numbers: list[int]) -> Any:
        refused = [number for number in numbers if number in bad]
        return Incoming(status, {}, b"too dark") if refused else [named(number) for number in numbers]

    return play


class Picky(ScriptedSender):
    def __init__(self, *bad: int, status: int = 400) -> None:
        super().__init__(*[picky(*bad, status=status)] * 1000)


def test_a_refused_image_is_left_without_an_answer_for_good(tmp_path: Path) -> None:
    sender = Picky(3, 6)
    querier = journal(sender, tmp_path / "l", leave_refused=True, concurrency=1)
    rows = querier(images(*range(9)))
    assert rows.isnan().any(1).nonzero().flatten().tolist() == [3, 6]
    assert querier.notes == [
        "2 images were refused for good, and left without an answer; 'pixprompt ledger --requests' says why."
    ]
    querier.ledger.close()
    sender = ScriptedSender()
    again = journal(sender, tmp_path / "l")
    assert again(images(*range(9))).isnan().any(1).sum() == 2
    assert (sender.batches, len(again.notes), again.ledger.refused) == ([], 1, 2)
    assert read_ledger(tmp_path / "l")["answers"] == 7


def test_where_that_is_not_wished_a_refused_image_is_an_error() -> None:
    with pytest.raises(ImageRefused, match="too dark"):
        journal(Picky(3), concurrency=1)(images(*range(9)))
    with pytest.raises(ImageRefused):  # nor is it where the endpoint has never answered
        journal(Picky(0), concurrency=1, leave_refused=True)(images(*range(9)))


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize("concurrency", [1, 3])
def test_five_in_a_row_are_not_the_fault_of_the_images(status: int, concurrency: int, tmp_path: Path) -> None:
    sender = Picky(*range(10, 200), status=status)
    querier = journal(sender, tmp_path / "l", leave_refused=True, concurrency=concurrency)
    querier(images(*range(10)))
    with pytest.raises(EndpointError, match="5 images in a row") as raised:
        querier(images(*range(10, 120)))
    assert not isinstance(raised.value, ImageRefused)
    assert len(sender.batches) < 60  # and not one by one through all of them
    assert querier.ledger.refused == 0  # an outage marks no image


def test_too_many_are_an_error_even_apart(tmp_path: Path) -> None:
    querier = journal(Picky(*range(1, 60, 6)), tmp_path / "l", leave_refused=True, concurrency=1)
    with pytest.raises(EndpointError, match="6 images were refused so far"):
        querier(images(*range(60)))


def test_those_who_want_to_ask_again_some_time_are_told_which() -> None:
    sender = Picky(0, 3)
    querier = journal(sender, concurrency=1)
    rows, refused = querier.query_each(images(*range(6)))
    assert sorted(refused) == rows.isnan().any(1).nonzero().flatten().tolist() == [0, 3]
    assert "too dark" in refused[3]
    sender.script.clear()
    rows, refused = querier.query_each(images(*range(6)))
    assert (refused, bool(rows.isnan().any())) == ({}, False)


def test_answers_of_nobody_are_as_wide_as_others() -> None:
    querier = journal(Picky(0, 1, 2), concurrency=1)
    rows, _ = querier.query_each(images(0, 1, 2))
    assert rows.isnan().tolist() == [[True]] * 3
    rows, _ = querier.query_each(images(2, 4))
    assert rows.isnan().any(1).tolist() == [True, False]


@pytest.mark.parametrize(
    ("side", "size", "chunk"),
    [(1, 1, 256), (1, 2, 512), (1, 32, 8192), (224, 1, 256), (224, 8, 445), (224, 128, 1024), (2048, 1, 8)],
)
def test_a_chunk_is_worth_many_requests_whatever_the_concurrency(side: int, size: int, chunk: int) -> None:
    endpoint = Endpoint("http://127.0.0.1:9/m", "pixels", image_size=(side, side), max_batch=size)
    model = RemoteModel("m", Pixels(endpoint), ScriptedSender(), Declared())
    assert {journal(ScriptedSender(), model=model, concurrency=number).chunk for number in (1, 64)} == {chunk}


def test_the_concurrency_that_is_wished_is_reached() -> None:
    def until_all_are_there(number: int) -> float:
        end = time.monotonic() + (LONG if number else 0)  # but for the first image, which is asked alone
        while sender.most_under_way < 24 and time.monotonic() < end:
            time.sleep(0.005)
        return 0.0

    sender = ScriptedSender(slow=until_all_are_there)
    querier = journal(sender, concurrency=24)
    querier(images(0))
    querier(images(*range(1, 129)))
    assert sender.most_under_way == 24


# Commands ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_KEY", "k")
    return write_toy(tmp_path)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def refusing(which: Callable[[bytes], bool], status: int = 400) -> Any:
    """The shop, but for requests that hold a certain image."""

    def respond(body: bytes, headers: Any) -> Any:
        if any(which(content) for content in images_of(body)):
            return status, {"Content-Type": "application/json"}, b'{"error": "content filter"}'
        return answer(body, headers)

    return respond


def train(toy: Toy, server: FaultServer, folder: Path, *options: str) -> list[str]:
    described = describe(folder, answer="top-k")
    arguments = ("train", "--model", server.url, "--endpoint", str(described), "--data", toy.data, "--size", "4")
    return [*arguments, "--out", "run", *options]


@pytest.mark.slow
def test_a_run_goes_on_around_refused_images(toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One image in forty is refused, with every prompt another one: in the head, validation, search and test."""
    with FaultServer(refusing(lambda content: int(digest(content)[:4], 16) % 40 == 2)) as server:
        options = ("--budget", "1200", "--basis", "blocks", "--basis-size", "4", "--output", "blm", "--json")
        assert main(train(toy, server, tmp_path, *options)) == 0
        out, err = capsys.readouterr()
        result = json.loads(out)
        assert "left without an answer: " in err
        assert any("were refused for good" in note for note in result["notes"])
        assert "NaN" not in out
        assert result["queries"]["plan"]["search"] > 0
        assert result["counts"] == {"train": 23, "val": 14, "test": 17}  # one of each is left out
        assert main(["evaluate", "run"]) == 0
        assert "were refused for good" in capsys.readouterr().out


def leave_in_doubt(ledger: str) -> None:
    """Makes the last request of a ledger one that a crash has cut."""
    with closing(sqlite3.connect(ledger)) as file:
        file.execute("UPDATE requests SET answered = NULL, body = NULL WHERE id = (SELECT max(id) FROM requests)")
        file.execute("UPDATE queries SET outputs = NULL WHERE request = (SELECT max(id) FROM requests)")
        file.commit()


@pytest.fixture
def shop() -> Iterator[FaultServer]:
    with FaultServer(answer) as server:
        yield server


@pytest.mark.slow
def test_an_image_that_nobody_answered_gets_no_label(
    toy: Toy, shop: FaultServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(train(toy, shop, tmp_path, "--budget", "120", "--concurrency", "1")) == 0
    photos = [str(path) for path in toy.images("test")[:7]]
    described = str(tmp_path / "shop.json")
    predict = ["predict", "run/prompt.png", *photos, "--model", shop.url, "--endpoint", described]
    assert main([*predict, "--concurrency", "1"]) == 0
    capsys.readouterr()
    leave_in_doubt("pixprompt-ledger.sqlite")
    assert main(predict) == 5
    assert main([*predict, "--in-doubt", "skip"]) == 1
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    left = [line for line in lines if "error" in line]
    assert left == [{"path": path, "error": "left without an answer"} for path in photos[-len(left) :]]
    assert 0 < len(left) < 7
    assert "in doubt after a crash; these were left without an answer" in err


def test_what_nobody_answered_counts_in_no_score(
    toy: Toy, shop: FaultServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(train(toy, shop, tmp_path, "--budget", "120", "--concurrency", "1", "--price-per-1000", "2")) == 0
    arguments = (
        "--data",
        toy.data,
        "--model",
        shop.url,
        "--endpoint",
        str(tmp_path / "shop.json"),
        "--concurrency",
        "1",
    )
    evaluate = ["evaluate", "run/prompt.png", *arguments, "--ledger", "mine.sqlite"]
    paid = len(shop.received)
    capsys.readouterr()
    assert main([*evaluate, "--budget", "30"]) == 3  # 33 images, and as many without a prompt, if it changes any
    assert "more queries were wanted, but 30 of 30 are left; nothing was asked" in capsys.readouterr().err
    assert main([*evaluate, "--max-requests", "3"]) == 3
    assert len(shop.received) == paid
    capsys.readouterr()
    assert main([*evaluate, "--price-per-1000", "4", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["counts"]["test"] == 18
    assert f"asks {shop.url} about up to " in err
    assert "the first answer took" in err
    assert read_ledger("mine.sqlite")["price_per_1000"] == 4.0
    leave_in_doubt("mine.sqlite")
    assert main([*evaluate, "--in-doubt", "skip", "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["counts"]["test"] < 18
    assert any("left without an answer" in note for note in output["notes"])
    share = output["accuracy"]["prompt_png"]["test"] * output["counts"]["test"]
    assert share == pytest.approx(round(share))


@pytest.mark.slow
def test_an_outage_in_the_midst_of_predicting_ends_it(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FaultServer(answer) as server:
        assert main(train(toy, server, tmp_path, "--budget", "60")) == 0
        photos = [str(path) for path in toy.images("test")]
        predict = ["predict", "run/prompt.png", "--model", server.url, "--endpoint", str(tmp_path / "shop.json")]
        assert main([*predict, photos[0]]) == 0
        for status in (500, 400):
            before = len(server.received)
            server.answer = refusing(lambda content: True, status)
            capsys.readouterr()
            assert main([*predict, *photos]) == 4
            assert "5 images in a row were refused" in capsys.readouterr().err
            assert len(server.received) - before <= 20  # of 17 images, one request each and its retries at most
