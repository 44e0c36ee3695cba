"""Makes prompt files of version 0.4 and what they do; run by hand with the tree of that version, never by a test.

    PYTHONPATH=<checkout of version 0.4> python tests/golden/make_prompts_04.py

They pin the first schema: later versions must read these files, give the same pixels and read answers the same way.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import Image

import pixprompt
from pixprompt.canvas import Canvas
from pixprompt.core import AnswerKind, ModelSpec
from pixprompt.outputs import make_output
from pixprompt.templates import Add, Over, make_template

FOLDER = Path(__file__).parent / "0.4"
SIZE = (24, 20)
CLASSES = ("zero", "ün", "two words")
NUM_OUTPUTS = 5


def pictures() -> list[Image.Image]:
    """An image of the canvas size, a larger one and a tall one."""
    rng = np.random.default_rng(4)
    return [Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in (SIZE, (60, 47), (90, 21))]


def answers(answer: AnswerKind) -> torch.Tensor:
    """Fixed answers of a model, (30, 5)."""
    outputs = torch.from_numpy(np.random.default_rng(5).normal(size=(30, NUM_OUTPUTS))).float()
    if answer is AnswerKind.EMBEDDINGS:
        return torch.nn.functional.normalize(outputs)
    return outputs.softmax(1) if answer is AnswerKind.PROBABILITIES else outputs


def embeddings_of(texts: list[str]) -> torch.Tensor:
    """A text encoder in name only: every text has an embedding of its own."""
    rows = [np.random.default_rng(list(text.encode())).normal(size=NUM_OUTPUTS) for text in texts]
    return torch.nn.functional.normalize(torch.from_numpy(np.stack(rows)).float())


@dataclass(frozen=True)
class Kind:
    """One file: a template, its blend, the fit of the image, and what reads the answers."""

    template: str
    size: int
    blend: Add | Over
    shrink: bool
    output: str
    answer: AnswerKind


KINDS = {
    "add-padding": Kind("padding", 4, Add(), False, "frequency", AnswerKind.LOGITS),
    "add-shrink-scaled": Kind("padding", 3, Add(delta_scale=0.25), True, "random", AnswerKind.LOGITS),
    "over-shrink": Kind("padding", 5, Over(), True, "linear", AnswerKind.PROBABILITIES),
    "over-opacity": Kind("full", 0, Over(opacity=0.3), False, "linear", AnswerKind.LOGITS),
    "over-learned-opacity": Kind("full", 0, Over(opacity=None), False, "blm", AnswerKind.LOGITS),
    "patch": Kind("patch", 7, Over(), False, "text", AnswerKind.EMBEDDINGS),
    "random-patch": Kind("random-patch", 6, Add(), False, "blm+", AnswerKind.PROBABILITIES),
}


def make(name: str, kind: Kind) -> dict[str, object]:
    """Writes one file and returns what it must do."""
    generator = torch.Generator().manual_seed(6)
    template = make_template(kind.template, canvas_size=SIZE, size=kind.size, blend=kind.blend)
    theta = template.project(torch.randn(template.num_params, generator=generator))
    plain = Canvas(SIZE, resample="bilinear", crop_pct=0.875)
    frame = template.geometry.frame
    canvas = Canvas(SIZE, fit="shrink", frame=frame, resample="bilinear") if kind.shrink else plain
    spec = ModelSpec("golden", SIZE, NUM_OUTPUTS, kind.answer)
    outputs, labels = answers(kind.answer), torch.arange(30) % 3
    output = make_output(kind.output, classes=CLASSES, spec=spec, encode_text=embeddings_of).refit(outputs, labels)
    prompt = pixprompt.Prompt(
        rgba=template.export(theta),
        canvas=canvas,
        blend=template.blend.name,
        delta_scale=template.blend.delta_scale,
        template={"name": template.name, "params": template.geometry.params, "num_params": template.num_params},
        model="golden",
        weights_sha256="ab" * 32,
        output=output.to_json(),
        seed=6,
        metrics={"prompt_png": {"val": 0.5, "test": 0.25}},
        version=pixprompt.__version__,
    )
    prompt.save(FOLDER / f"{name}.png")
    applied = [hashlib.sha256(np.asarray(prompt.apply(image)).tobytes()).hexdigest() for image in pictures()]
    return {"answer": kind.answer.value, "applied_sha256": applied, "logits": output(outputs).tolist()}


def main() -> None:
    """Writes the files and expected.json."""
    if not pixprompt.__version__.startswith("0.4"):
        raise SystemExit(f"these are files of version 0.4; this is {pixprompt.__version__}.")
    FOLDER.mkdir(exist_ok=True)
    made_with = {"pixprompt": pixprompt.__version__, "numpy": np.__version__, "Pillow": PIL.__version__}
    expected = {"made_with": made_with, "files": {name: make(name, kind) for name, kind in KINDS.items()}}
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
