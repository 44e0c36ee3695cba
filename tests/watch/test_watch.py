"""A watch over a model that is served: quiet rounds, an alarm when another one takes its place, a budget."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixprompt.canvas import Canvas
from pixprompt.canvas.encoding import encode_png
from pixprompt.cli import main
from pixprompt.ledger.summary import read_ledger
from pixprompt.outputs import make_output
from pixprompt.prompt import Committee
from pixprompt.serving import Server, Service
from pixprompt.views import Pattern, View

from ..serving.toy import SIZE, make_model, make_pixels

NUM = 12
VIEWS = (View(size=0.7, frame=Pattern((255, 255, 255))), View())


@pytest.fixture
def served() -> Iterator[Server]:
    with Server(Service(make_model(), name="tiny")) as server:
        yield server


@pytest.fixture
def command(served: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    output = make_output("first-k", classes=("a", "b", "c"), spec=make_model().spec, views=2)
    pages = tuple(view.prompt(Canvas(SIZE)) for view in VIEWS)
    Committee(pages, output=output.to_json(), model=served.url).save("p.png")
    Path("canaries").mkdir()
    for index, pixels in enumerate(make_pixels(NUM)):
        Path(f"canaries/{index:02}.png").write_bytes(encode_png(pixels))
    return ["watch", "p.png", "canaries", "--model", served.url, "--every", "0s", "--num", str(NUM), "--ledger", "l"]


def test_rounds_are_quiet_until_another_model_answers(
    command: list[str], served: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--rounds", "3", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert [one["round"] for one in first["rounds"]] == [1, 2, 3]
    assert {one["p_value"] for one in first["rounds"]} == {1.0}
    assert read_ledger("l")["queries"] == 5 * NUM * len(VIEWS)  # each time anew, whatever the ledger holds
    assert served.service.model is not None  # type: ignore[attr-defined]
    served.service.model = make_model(seed=1)  # type: ignore[attr-defined]
    assert main([*command, "--rounds", "3"]) == 6
    (line,) = capsys.readouterr().out.splitlines()  # the first alarm is the end, and the count goes on
    assert line.startswith("ALARM: the model has changed. round 4: ")


def test_a_round_that_the_budget_has_no_room_for_is_not_begun(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    each = NUM * len(VIEWS)
    assert main([*command, "--budget", str(3 * each + each - 1)]) == 3
    assert read_ledger("l")["queries"] == 3 * each
    assert json.loads(Path("pixprompt-watch.json").read_text())["rounds"] == 1


def test_a_baseline_of_others_and_a_damaged_one_are_refused(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--rounds", "1"]) == 0
    Path("canaries/00.png").unlink()
    assert main([*command, "--rounds", "1"]) == 2
    assert "baseline of another prompt, model or set of images" in capsys.readouterr().err
    values = json.loads(Path("pixprompt-watch.json").read_text())
    for text in (json.dumps({name: value for name, value in values.items() if name != "second"}), "{"):
        Path("pixprompt-watch.json").write_text(text)
        assert main([*command, "--rounds", "1"]) == 1
        assert "no baseline of a watch" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "words"), [("--every", "soon", "30s"), ("--every", "999999d", "30s"), ("--num", "3", "x>=8")]
)
def test_wrong_usage(
    command: list[str], option: str, value: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, option, value]) == 2
    assert words in capsys.readouterr().err
