"""The page of a run where torch and matplotlib are not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .html_check import external, read
from .pages import section

CODE = """
import sys
sys.modules.update(dict.fromkeys(["torch", "torchvision", "timm", "open_clip", "matplotlib"]))
from pixprompt.report import ReportOptions, write_report
print(write_report([sys.argv[1]], out=sys.argv[2], options=ReportOptions(use_model=sys.argv[3] == "model")).skipped)
"""


def test_a_page_needs_neither_torch_nor_matplotlib(run: Path, tmp_path: Path) -> None:
    for mode, reason in (("files", "--no-model"), ("model", "pip install torch")):
        arguments = [sys.executable, "-c", CODE, str(run), str(tmp_path / "r.html"), mode]
        process = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
        assert process.returncode == 0, process.stderr
        assert reason in process.stdout
        text = (tmp_path / "r.html").read_text("utf-8")
        root = read(text)
        assert external(text) == []
        assert len(section(root, "ladder").all("tr")) == 5
        assert "pip install matplotlib" in section(root, "ladder").words
        assert len(section(root, "images").all("img")) == 12
        assert section(root, "mapping").all("table")
