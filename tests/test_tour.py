"""The notebook runs from its first cell to its last, uses public names, and its outputs stay small."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

import pixprompt

NOTEBOOK = Path(__file__).parents[1] / "experiments/by-hand/tour.ipynb"


def cells() -> list[dict[str, Any]]:
    read = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in read if cell["cell_type"] == "code"]


def test_it_was_run_whole_and_is_small() -> None:
    assert [cell["execution_count"] for cell in cells()] == list(range(1, len(cells()) + 1))
    assert NOTEBOOK.stat().st_size < 300_000
    assert not any(output["output_type"] == "error" for cell in cells() for output in cell["outputs"])


def test_it_uses_public_names() -> None:
    for node in (node for cell in cells() for node in ast.walk(ast.parse(cell["source"]))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pixprompt"):
            assert node.module == "pixprompt"
            assert {name.name for name in node.names} <= set(pixprompt.__all__)


@pytest.mark.slow
def test_every_cell_runs() -> None:
    names: dict[str, Any] = {}
    for cell in cells():
        exec(compile(cell["source"], str(NOTEBOOK), "exec"), names)
    assert names["answer"].label in names["data"].classes
    assert (names["folder"] / "run/result.json").exists()
