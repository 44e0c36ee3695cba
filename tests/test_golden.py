"""Files of the first version stay readable, and give the same pixels; see golden/make_prompts.py."""

import hashlib
import json
from pathlib import Path

import pytest

import pixprompt

from .golden.make_prompts import canvases

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("blend", ["add", "over"])
def test_golden_prompts(blend: str, tmp_path: Path) -> None:
    expected = json.loads((GOLDEN / "prompts.json").read_text())["overlay_sha256"]
    prompt = pixprompt.load(GOLDEN / f"prompt-{blend}.png")
    assert hashlib.sha256(prompt.overlay(canvases()).tobytes()).hexdigest() == expected[blend]
    assert prompt.output["classes"] == ["a", "ü"]
    prompt.save(tmp_path / "again.png")
    assert pixprompt.load(tmp_path / "again.png").metadata() == prompt.metadata()
