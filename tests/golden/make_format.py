"""Makes the golden vectors of the format: images, prompt files, and what they give; run by hand, never by a test.

    python tests/golden/make_format.py

format/images and format/prompts are what goes in. format/expected has one PNG for each prompt: its canvases below one
another, image by image in alphabetical order, and page by page of a committee. format/outputs.json has answers and the
logits that the output transform of a file makes of them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from pixprompt.canvas import Canvas, Tone, decode
from pixprompt.core import AnswerKind, ModelSpec
from pixprompt.outputs.saved import SavedOutput
from pixprompt.prompt import Committee, Prompt, load_committee
from pixprompt.views import Pattern, View

FOLDER = Path(__file__).parent / "format"
SIZE = (20, 24)
CLASSES = ["zero", "ün", "two words"]
_RNG = np.random.default_rng(7)


def images() -> dict[str, Image.Image]:
    """A photo-like image, a tall one of noise, a panorama, and a small one that is half transparent."""
    rows, columns = np.mgrid[0:37, 0:53]
    shapes = [columns * 255 // 52, rows * 255 // 36, np.where((rows // 6 + columns // 9) % 2, 230, 15)]
    photo = (np.stack(shapes, -1) + _RNG.integers(-9, 10, (37, 53, 3))).clip(0, 255)
    noise = _RNG.integers(0, 256, (95, 19, 3))
    wide = np.repeat(_RNG.integers(0, 256, (6, 70, 3)), 6, axis=1)
    clear = np.concatenate([_RNG.integers(0, 256, (15, 18, 3)), np.full((15, 18, 1), 100)], -1)
    pixels = {"photo": photo, "tall": noise, "wide": wide, "clear": clear}
    return {name: Image.fromarray(each.astype(np.uint8)) for name, each in pixels.items()}


def prompt(canvas: Canvas, blend: str, scale: float | None, output: dict[str, object]) -> Prompt:
    """A prompt with every kind of pixel: frames, masked ones, half-transparent ones."""
    rgba = _RNG.integers(0, 256, (*SIZE, 4), dtype=np.uint8)
    rgba[..., :3] = rgba[..., :3].clip(1, 255)
    rgba[6:14, 6:18] = (128, 128, 128, 0)
    if blend == "add":
        rgba[..., 3] = np.where(rgba[..., 3] > 99, 255, 0)
    return Prompt(rgba, canvas, blend, scale, {"name": "full", "params": {}, "num_params": 9}, "golden", output=output)


def output(answer: AnswerKind, **rest: object) -> dict[str, object]:
    """An output transform for answers of five numbers."""
    return {"kind": "given", "classes": CLASSES, "num_outputs": 5, "answer": answer.value, **rest}


def prompts() -> dict[str, Committee]:
    """One file for each part of the format."""
    mapping = {"mapping": [[0], [3, 4], [1]], "floor": 0.005}
    plain = Canvas(SIZE, crop_pct=0.875)
    boxed = View(size=0.7, x=0.2, rotation=100.0, resample="bilinear", frame=Pattern((9, 200, 60), "stripes", period=3))
    views = (View(), View(size=1.4, flip=True), View(rotation=-20.0, tone=Tone(0.6, 1.5), frame=Pattern((90, 0, 30))))
    pages = tuple(view.prompt(Canvas(SIZE, resample="bicubic")) for view in views)
    singles = {
        "add-crop": prompt(plain, "add", 1.0, output(AnswerKind.LOGITS, **mapping)),
        "add-scaled": prompt(Canvas(SIZE, aspect="squash", resample="hamming"), "add", 0.25,
                             output(AnswerKind.PROBABILITIES, **mapping)),
        "over-shrink": prompt(Canvas(SIZE, fit="shrink", frame=3, resample="bilinear", fill=(7, 8, 9)), "over", None,
                              output(AnswerKind.TOP_K, **mapping)),
        "over-letterbox": prompt(Canvas(SIZE, aspect="letterbox", resample="lanczos", fill=(250, 1, 2)), "over", None,
                                 output(AnswerKind.LABEL, **mapping)),
        "over-box": prompt(Canvas(SIZE, resample="box"), "over", None, {}),
        "view": boxed.prompt(Canvas(SIZE)),
        "view-nearest": replace(View(rotation=33.0, zoom=1.5), resample="nearest").prompt(Canvas(SIZE)),
    }  # fmt: skip
    rng = np.random.default_rng(3)
    weight, bias = rng.normal(size=(15, 2)).astype("<f4"), rng.normal(size=2).astype("<f4")
    head = output(
        AnswerKind.LOGITS, kind="linear", seed=0, views=3, present=[0, 2], weight=_tensor(weight), bias=_tensor(bias)
    )
    files = {name: Committee.of(each) for name, each in singles.items()}
    return files | {"committee": Committee(pages, output=head, model="golden")}


def _tensor(values: np.ndarray) -> dict[str, object]:
    import base64

    return {"dtype": "float32", "shape": list(values.shape), "base64": base64.b64encode(values.tobytes()).decode()}


def answers(values: dict[str, object]) -> np.ndarray:
    """Four answers of each kind, (4, V * 5) float32."""
    rng, views = np.random.default_rng(11), int(str(values.get("views", 1)))
    rows = rng.normal(size=(4 * views, 5))
    if values["answer"] != "logits":
        rows = np.round(np.exp(rows) / np.exp(rows).sum(1, keepdims=True), 2)
    if values["answer"] == "top-k":
        rows[np.arange(len(rows)), rows.argmin(1)] = 0
    if values["answer"] == "label":
        rows = np.eye(5)[rows.argmax(1)]
    return rows.reshape(4, -1).astype(np.float32)


def main() -> None:
    """Writes the folder."""
    for name in ("images", "prompts", "expected"):
        (FOLDER / name).mkdir(parents=True, exist_ok=True)
    for name, image in images().items():
        image.save(FOLDER / f"images/{name}.png")
    inputs = [decode(path) for path in sorted((FOLDER / "images").glob("*.png"))]
    logits = {}
    for name, prompt in prompts().items():
        prompt.save(FOLDER / f"prompts/{name}.png")
        saved = load_committee(FOLDER / f"prompts/{name}.png")
        strip = np.concatenate([np.asarray(page) for image in inputs for page in saved.apply(image)])
        Image.fromarray(strip).save(FOLDER / f"expected/{name}.png")
        if saved.output:
            spec = ModelSpec("golden", SIZE, 5, AnswerKind(saved.output["answer"]))
            rows = answers(saved.output)
            logits[name] = {"answers": rows.tolist(), "logits": SavedOutput(saved.output, spec)(rows).tolist()}
    (FOLDER / "outputs.json").write_text(json.dumps(logits) + "\n")


if __name__ == "__main__":
    main()
