"""Writing a page of a run and finding things on it."""

from __future__ import annotations

import json
from pathlib import Path

from pixprompt.engine.config.train_config import run_config
from pixprompt.report import ReportOptions, write_report

from .html_check import Node, read

FILES = ReportOptions(use_model=False)
SECTIONS = {
    *("ladder", "prompt", "images", "saliency", "confusion", "curves", "spending", "points", "mapping", "diagnostics"),
    *("settings", "files"),
}


def page(*runs: Path, options: ReportOptions = FILES) -> tuple[str, Node]:
    out = runs[0].parent / "report.html"
    report = write_report(list(runs), out=out, options=options)
    text = out.read_text("utf-8")
    assert report.num_bytes == out.stat().st_size
    return text, read(text)


def section(root: Node, key: str) -> Node:
    return next(node for node in root.all("section") if node.attributes["aria-labelledby"] == key)


def cells(table: Node) -> list[list[str]]:
    return [[cell.words for cell in row.all("th", "td")] for row in table.all("tr")]


def result_of(run: Path) -> dict:
    values: dict = json.loads((run / "result.json").read_text())
    return values


def edit_settings(run: Path, **options: object) -> None:
    write = run_config(run).with_values(**options).to_json()
    (run / "config.json").write_text(json.dumps(write))


def edit(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
