"""What the page shows of runs, honest ones, damaged ones and hostile ones; it writes nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from ..report.html_check import Node, read
from ..report.pages import edit
from ..test_habits import faults

pytestmark = pytest.mark.usefixtures("undrawn")
HOSTILE = "<img src=x onerror=alert(1)>"


def page(browser: TestClient, place: str, status: int = 200) -> Node:
    answer = browser.get(place)
    assert answer.status_code == status, answer.text
    return read(answer.text)


def words(browser: TestClient, place: str, status: int = 200) -> str:
    return page(browser, place, status).words


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


def test_runs_are_listed_and_described_with_command_lines_that_exist_and_nothing_is_written(
    browser: TestClient, runs: Path
) -> None:
    before = files_of(runs)
    listed = words(browser, "/")
    accuracy = json.loads((runs / "done/result.json").read_text())["accuracy"]
    alone, remaining = (accuracy[rung] for rung in ("output_only", "prompt_png"))
    assert f"→ {remaining['test']:.1%} {alone['output']} without a prompt: {alone['test']:.1%}" in listed
    assert "not finished" in listed
    finished, running = page(browser, "/run?name=done"), page(browser, "/run?name=begun")
    assert {"ladder", "prompt", "pictures", "curves", "settings", "try"} <= {
        heading.attributes.get("id") for heading in finished.all("h2")
    }
    assert "pixprompt train --resume" in running.words
    assert "ladder" not in {heading.attributes.get("id") for heading in running.all("h2")}
    compared = page(browser, "/compare?run=done&run=begun")
    assert "2 runs compared" in compared.words
    text = [page(browser, "/"), finished, running, compared, page(browser, "/try")]
    lines = [
        code.words
        for root in text
        for group in root.all("div")
        if group.attributes.get("class") == "command"
        for code in group.all("code")
    ]
    assert len(lines) >= 10
    assert faults("```bash\n{}\n```\n".format("\n".join(lines))) == []
    assert browser.get("/thumbnail?run=done").content.startswith(b"\x89PNG")
    assert browser.get("/download?run=done").content == (runs / "done/prompt.png").read_bytes()
    assert files_of(runs) == before


def test_what_a_hostile_run_says_is_text(browser: TestClient, runs: Path) -> None:
    edit(runs / "done/result.json", model=HOSTILE, notes=[HOSTILE], classes=[HOSTILE, "b", "c"])
    for place in ("/", "/run?name=done", "/compare?run=done&run=begun"):
        root = page(browser, place)
        assert HOSTILE in root.words
        assert not any("onerror" in node.attributes for node in root.all("img"))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("result.json", '{"schema": 1, "acc'),
        ("result.json", "[" * 100_000),
        ("config.json", '{"method": {}, "model": []}'),
        ("history.jsonl", "\x00"),
        ("prompt.png", "no picture"),
    ],
)
def test_a_damaged_run_is_shown_as_such_and_spoils_no_other(
    browser: TestClient, runs: Path, file: str, content: str
) -> None:
    (runs / "begun" / file).write_text(content)
    assert "→" in words(browser, "/")
    assert browser.get("/run?name=begun").status_code in (200, 404)
    if file == "result.json":
        assert "damaged" in words(browser, "/")
        text = words(browser, "/run?name=begun")
        assert "damaged" in text
        assert "result.json" in text


def test_a_pipe_in_a_run_holds_nobody_up(browser: TestClient, runs: Path) -> None:
    (runs / "begun/history.jsonl").unlink()
    os.mkfifo(runs / "begun/history.jsonl")
    assert "not a regular file" in words(browser, "/")


def test_nothing_outside_of_the_folder_is_shown(browser: TestClient, runs: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (runs / "done").rename(outside)
    (runs / "link").symlink_to(outside)
    (runs / "mixed").mkdir()
    (runs / "mixed/config.json").write_bytes((outside / "config.json").read_bytes())
    (runs / "mixed/preview.png").symlink_to(outside / "preview.png")
    listed = words(browser, "/")
    assert "link" not in listed
    assert "preview.png lies outside" in listed
    for name in ("../outside", str(outside), "link", "begun/../../outside", "mixed", "", "a\0b", "."):
        assert browser.get(f"/run?name={quote(name)}").status_code in (400, 404), name
        assert browser.get(f"/picture?run={quote(name)}&file=preview.png").status_code in (400, 404), name
        assert browser.get(f"/events?run={quote(name)}").status_code in (400, 404), name
    for file in ("../done/preview.png", "config.json", "..", "checkpoint"):
        assert browser.get(f"/picture?run=begun&file={quote(file)}").status_code in (400, 404), file


def test_a_picture_is_read_and_written_anew(browser: TestClient, runs: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    path = runs / "done/preview.png"
    Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes() + b"<script>alert(1)</script>")
    answer = browser.get("/picture?run=done&file=preview.png")
    assert answer.headers["content-type"] == "image/png"
    assert b"script" not in answer.content
    path.write_bytes(answer.content)
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), pixels)
    path.write_bytes(b"\x89PNG\r\n\x1a\n<svg onload=alert(1)>")
    assert browser.get("/picture?run=done&file=preview.png").status_code == 400
