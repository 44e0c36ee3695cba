"""The page of a run: whole, alone, escaped, true to its files, and the same every time."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from pathlib import Path

import pytest

from pixprompt.prompt import load
from pixprompt.report import ReportOptions, write_report

from ..cli.toy import CLASSES, Toy
from .html_check import Node, external, read
from .pages import SECTIONS, cells, edit, page, result_of, section

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;$x^2$"


@pytest.fixture(scope="session")
def whole(toy_run: Toy, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Node]:
    """The page with everything on it, from the run as it is."""
    out = tmp_path_factory.mktemp("whole") / "deep" / "report.html"
    write_report([toy_run.folder / "run"], out=out, options=ReportOptions(device="cpu"))
    text = out.read_text("utf-8")
    return text, read(text)


# Form ----------------------------------------------------------------------------------------------------------------


def test_the_page_is_a_whole_document(whole: tuple[str, Node]) -> None:
    text, root = whole
    assert text.startswith("<!DOCTYPE html>\n<html")
    assert root.all("html")[0].attributes["lang"] == "en"
    levels = [int(node.tag[1]) for node in root.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(node.attributes["alt"].strip() for node in root.all("img"))
    assert all(node.all("figcaption")[0].words for node in root.all("figure"))
    places = [node.attributes["id"] for node in root.all("h1", "h2", "h3") if "id" in node.attributes]
    assert set(places) == SECTIONS
    assert len(places) == len(SECTIONS)
    assert [link.attributes["href"][1:] for link in root.all("nav")[0].all("a")] == places
    missing = [node.words for node in root.all("p") if node.attributes.get("class") == "absent"]
    assert missing == ["Not shown: diagnosis.json: the run directory holds none; 'pixprompt diagnose' makes one."]
    assert len(text.encode()) < 5 * 2**20


def test_the_page_loads_and_runs_nothing(whole: tuple[str, Node]) -> None:
    text, root = whole
    assert external(text) == []
    policy = next(node for node in root.all("meta") if node.attributes.get("http-equiv"))
    assert "default-src 'none'" in policy.attributes["content"]
    assert "unsafe" not in policy.attributes["content"]
    style = hashlib.sha256(root.all("style")[0].text.encode()).digest()
    assert f"'sha256-{base64.b64encode(style).decode()}'" in policy.attributes["content"]  # or it would not apply
    assert "style" not in {name for node in root.all("p", "td", "div", "img", "span") for name in node.attributes}


@pytest.mark.parametrize(
    "snippet",
    [
        '<img src="https://example.org/a.png" alt="a">',
        '<img src="a.png" alt="a">',
        '<link rel="stylesheet" href="a.css">',
        "<script>1</script>",
        '<a href="https://example.org">x</a>',
        '<a href="javascript:alert(1)">x</a>',
        "<style>body { background: url(a.png) }</style>",
        '<style>@import "a.css";</style>',
        '<p onclick="x()">a</p>',
        '<p style="background:url(a)">a</p>',
        '<meta http-equiv="refresh" content="0;url=a">',
        '<img alt="a" src="data:image/svg+xml;base64,PHN2Zz48aW1hZ2UgaHJlZj0iaHR0cDovL2EiLz48L3N2Zz4=">',
        '<img alt="a" src="data:text/html;base64,AAAA">',
        "<iframe></iframe>",
    ],
)
def test_negative_control_the_check_sees_what_a_page_must_not_hold(whole: tuple[str, Node], snippet: str) -> None:
    assert external(whole[0].replace("</main>", f"{snippet}</main>")) != []


def test_the_same_run_gives_the_same_page(toy_run: Toy, whole: tuple[str, Node], tmp_path: Path) -> None:
    write_report([toy_run.folder / "run"], out=tmp_path / "b.html", options=ReportOptions(device="cpu"))
    assert (tmp_path / "b.html").read_text("utf-8") == whole[0]


def test_names_from_files_stay_text(run: Path) -> None:
    result = result_of(run)
    classes = [HOSTILE, "b\x01\x7f", "c$_{"]
    edit(run / "result.json", classes=classes, model=HOSTILE, data=HOSTILE, notes=[HOSTILE], method=HOSTILE)
    result["accuracy"]["no_prompt"]["output"] = HOSTILE
    edit(run / "result.json", accuracy={**result["accuracy"], HOSTILE: result["accuracy"]["prompt_png"]})
    edit(run / "config.json", **{HOSTILE: HOSTILE})
    edit_prompt(run, classes)
    diagnosis = {"data": {"name": HOSTILE, "n": HOSTILE}, "fid": {"value": HOSTILE}, "advice": {"verdict": HOSTILE}}
    (run / "diagnosis.json").write_text(json.dumps({**diagnosis, "kid": None, "kid_reason": HOSTILE}))
    folder = run.rename(run.parent / "<img src=x onerror=alert(3)>")
    text, root = page(folder)
    assert external(text) == []
    assert root.all("h1")[0].words == f"{HOSTILE} on {HOSTILE}"
    assert {node.tag for node in root.all("script", "b", "i")} <= {"b"}
    assert sum(HOSTILE in node.words for node in root.all("th", "td", "li", "h1", "p", "code")) >= 9
    assert HOSTILE not in text


def edit_prompt(run: Path, classes: list[str]) -> None:
    prompt = load(run / "prompt.png")
    prompt.output["classes"] = classes
    prompt.template["name"] = HOSTILE
    prompt.save(run / "prompt.png")


# Truth ---------------------------------------------------------------------------------------------------------------


def test_the_numbers_are_those_of_the_result(toy_run: Toy, whole: tuple[str, Node]) -> None:
    result, root = result_of(toy_run.folder / "run"), whole[1]
    rows = cells(section(root, "ladder").all("table")[0])[1:]
    assert len(rows) == 4
    for row, rung in zip(rows, ("no_prompt", "output_only", "prompt_float", "prompt_png"), strict=True):
        score = result["accuracy"][rung]
        low, high = score["ci95"]
        shown = [f"{score['val']:.1%}", f"{score['test']:.1%}", f"{low:.1%} – {high:.1%}", "1", score["output"]]
        assert row[1:] == shown
    words = section(root, "ladder").words
    for change in result["changes"]:
        assert f"{100 * abs(change['share']):.1f} points, 95% paired interval" in words
        assert f"{change['gained']} became right and {change['lost']} became wrong" in words
    cards = " ".join(node.words for node in root.all("div") if node.attributes.get("class") == "card")
    before, after = (result["accuracy"][rung]["test"] for rung in ("no_prompt", "prompt_png"))
    assert f"{before:.1%} → {after:.1%}" in cards
    assert f"{result['queries']['images']} queries; cost {result['queries']['cost']:g}" in cards
    assert f"{result['parameters']} parameters" in cards
    assert {name: value for name, value in cells(section(root, "settings").all("table")[0])[1:]}["size"] == "4"


def test_the_answers_are_those_that_the_run_scored(toy_run: Toy, whole: tuple[str, Node]) -> None:
    """The confusion matrices count all 18 test images, so their accuracies must be the ladder's."""
    accuracy = result_of(toy_run.folder / "run")["accuracy"]
    drawn = section(whole[1], "confusion")
    before, after = (f"{accuracy[rung]['test']:.1%}" for rung in ("no_prompt", "prompt_png"))
    assert before != after
    assert [image.attributes["alt"] for image in drawn.all("img")] == [
        f"Confusion matrix: {before} right without prompt.", f"Confusion matrix: {after} right with prompt."
    ]  # fmt: skip
    assert "over all test images" in drawn.words


def test_the_images_are_shown_with_their_classes_and_the_maps_with_their_layer(whole: tuple[str, Node]) -> None:
    images = [node for node in section(whole[1], "images").all("div") if node.attributes.get("class") == "image"]
    assert len(images) == 6
    assert {node.all("strong")[0].words for node in images} == {f"is {name}" for name in CLASSES}
    assert all(len(node.all("img")) == 2 for node in images)
    maps = section(whole[1], "saliency")
    assert len(maps.all("img")) == 12 + 1  # the scale of the colours
    assert "Grad-CAM at the layer “0”" in maps.words
    assert "It took 12 queries" in maps.words
    assert "about 49 images" in section(whole[1], "files").words  # 18 before, 18 after, 12 maps, 1 on loading


def test_without_a_prompt_the_gain_is_that_of_the_output_transform(run: Path) -> None:
    """The largest words on the page must not credit a prompt that was not kept."""
    accuracy = result_of(run)["accuracy"]
    remaining = page(run)[1].words
    assert "test accuracy without and with the prompt" in remaining
    edit(run / "result.json", best="none", accuracy={**accuracy, "prompt_png": accuracy["output_only"]})
    words = page(run)[1].words
    assert "alone" in words
    assert "no prompt kept" in words
    assert "test accuracy without and with the prompt" not in words
