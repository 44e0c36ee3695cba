"""Files of earlier versions stay readable, and do the same; see the scripts in golden/ that made them."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import pixprompt

from .golden.make_prompts import canvases

GOLDEN = Path(__file__).parent / "golden"
OF_04 = json.loads((GOLDEN / "0.4/expected.json").read_text())["files"]


@pytest.mark.parametrize("blend", ["add", "over"])
def test_golden_prompts(blend: str, tmp_path: Path) -> None:
    expected = json.loads((GOLDEN / "prompts.json").read_text())["overlay_sha256"]
    prompt = pixprompt.load(GOLDEN / f"prompt-{blend}.png")
    assert hashlib.sha256(prompt.overlay(canvases()).tobytes()).hexdigest() == expected[blend]
    assert prompt.output["classes"] == ["a", "ü"]
    prompt.save(tmp_path / "again.png")
    assert pixprompt.load(tmp_path / "again.png").metadata() == prompt.metadata()


@pytest.mark.parametrize("name", sorted(OF_04))
def test_prompts_of_version_04_apply_to_the_byte(name: str, tmp_path: Path) -> None:
    from .golden.make_prompts_04 import pictures

    prompt = pixprompt.load(GOLDEN / f"0.4/{name}.png")
    applied = [hashlib.sha256(np.asarray(prompt.apply(image)).tobytes()).hexdigest() for image in pictures()]
    assert applied == OF_04[name]["applied_sha256"]
    pixprompt.load_committee(GOLDEN / f"0.4/{name}.png").save(tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == (GOLDEN / f"0.4/{name}.png").read_bytes()


@pytest.mark.parametrize("name", sorted(OF_04))
def test_prompts_of_version_04_read_answers_as_they_did(name: str) -> None:
    torch = pytest.importorskip("torch")
    from pixprompt.core import AnswerKind, ModelSpec
    from pixprompt.outputs import output_from_json

    from .golden.make_prompts_04 import NUM_OUTPUTS, SIZE, answers

    prompt, answer = pixprompt.load(GOLDEN / f"0.4/{name}.png"), AnswerKind(OF_04[name]["answer"])
    output = output_from_json(prompt.output, spec=ModelSpec("golden", SIZE, NUM_OUTPUTS, answer))
    assert output.classes == ("zero", "ün", "two words")
    assert torch.allclose(output(answers(answer)), torch.tensor(OF_04[name]["logits"]), atol=1e-5)
