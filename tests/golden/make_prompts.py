"""Makes the golden prompt files and what they do to a fixed canvas; run by hand, never by a test.

    python tests/golden/make_prompts.py

They pin the file format: every later version must read them and give the same pixels.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import PIL

import pixprompt
from pixprompt.canvas import Canvas

FOLDER = Path(__file__).parent


def canvases() -> np.ndarray:
    """Every 8-bit value, under every pixel of the prompts."""
    ramp = np.arange(256, dtype=np.uint8)
    return np.broadcast_to(ramp[:, None, None, None], (256, 12, 16, 3)).copy()


def main() -> None:
    """Writes the files and prompts.json."""
    rng, expected = np.random.default_rng(0), {}
    for blend, scale, canvas in (
        ("add", 1.0, Canvas((12, 16))),
        ("over", None, Canvas((12, 16), fit="shrink", frame=3, resample="bilinear", fill=(7, 8, 9))),
    ):
        rgba = rng.integers(0, 256, (12, 16, 4), dtype=np.uint8)
        rgba[..., :3] = rgba[..., :3].clip(1, 255)
        output = {"kind": "first-k", "classes": ["a", "ü"], "num_outputs": 3, "answer": "logits", "mapping": [[0], [1]]}
        prompt = pixprompt.Prompt(
            rgba, canvas, blend, scale, {"name": "full", "params": {}}, model="golden", output=output, version="0.1.0"
        )
        prompt.save(FOLDER / f"prompt-{blend}.png")
        expected[blend] = hashlib.sha256(prompt.overlay(canvases()).tobytes()).hexdigest()
    made_with = {"pixprompt": pixprompt.__version__, "numpy": np.__version__, "Pillow": PIL.__version__}
    (FOLDER / "prompts.json").write_text(
        json.dumps({"made_with": made_with, "overlay_sha256": expected}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
