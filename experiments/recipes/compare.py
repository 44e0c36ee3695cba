"""Runs the recipes and compares what they write with `pixprompt apply`; writes results.json and prints the table.

    PIXPROMPT_ASSETS=... python experiments/recipes/compare.py

Each recipe runs on an image that has the size of the canvas, and, where they are there, on eight photos of 256x256
pixels that are made into canvases of 160x160; one that promises the bytes of `apply` also on opaque golden images of
the format, most of them noise, under prompts for every step but an oblique rotation. One whose tool is not installed
is left out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pixprompt.canvas import Canvas, Tone, decode
from pixprompt.export import export_prompt
from pixprompt.prompt import Committee, Prompt, load_committee
from pixprompt.views import Patch, Pattern, View

HERE = Path(__file__).parent
GOLDEN = HERE.parents[1] / "tests/golden/format"
OPENCV = ("-lopencv_core", "-lopencv_imgproc", "-lopencv_imgcodecs")


@dataclass(frozen=True)
class Recipe:
    """A program that takes EXPORTED IMAGE OUT.

    Attributes:
        name: As the table has it.
        command: Before the three paths.
        options: After them.
        exact: Whether it must give the bytes of `apply`.
        plain: Whether it knows canvases of aspect "crop" alone.
    """

    name: str
    command: tuple[str, ...]
    options: tuple[str, ...] = ()
    exact: bool = True
    plain: bool = False

    def run(self, exported: Path, image: Path, out: Path) -> np.ndarray:
        """Puts an exported prompt on an image."""
        subprocess.run([*self.command, str(exported), str(image), str(out), *self.options], check=True)
        return np.asarray(decode(out))


def javascript() -> tuple[str, ...] | None:
    """The command of the recipe in JavaScript, where Node and sharp are installed."""
    script, node = HERE / "javascript/apply.mjs", shutil.which("node")
    result = node and subprocess.run([node, "-e", "import('sharp')"], cwd=script.parent, capture_output=True)
    return (node, str(script)) if node and result and result.returncode == 0 else None


def cpp(folder: Path) -> tuple[str, ...] | None:
    """Compiles the recipe in C++, where OpenCV is installed."""
    target, compiler = folder / "apply", shutil.which("g++")
    build = [str(compiler), "-O2", "-I/usr/include/opencv4", str(HERE / "cpp/apply.cpp"), "-o", str(target), *OPENCV]
    process = compiler and subprocess.run(build, capture_output=True)
    return (str(target),) if process and process.returncode == 0 else None


def shell() -> tuple[str, ...] | None:
    """The command of the recipe for ImageMagick, where that is installed."""
    tool = shutil.which("magick") or shutil.which("convert")
    version = tool and subprocess.run([tool, "--version"], capture_output=True, text=True).stdout
    return ("sh", str(HERE / "shell/apply.sh")) if version and "ImageMagick" in version else None


def recipes(folder: Path) -> Iterator[Recipe]:
    """Yields those whose tools are installed."""
    if command := javascript():
        yield Recipe("JavaScript (Node, sharp)", command)
        yield Recipe("JavaScript, resized by sharp", command, ("--sharp",), exact=False)
    if command := cpp(folder):
        yield Recipe("C++ (OpenCV)", command)
        yield Recipe("C++, resized by OpenCV", command, ("--opencv",), exact=False)
    if command := shell():
        yield Recipe("shell (ImageMagick)", command, exact=False, plain=True)


def framed(canvas: Canvas) -> Committee:
    """A prompt as it is learned by default: a frame in blend add."""
    (height, width), edge = canvas.size, min(canvas.size) // 7
    rgba = np.random.default_rng(0).integers(1, 256, (height, width, 4), dtype=np.uint8)
    rgba[..., 3] = 255
    rgba[edge:-edge, edge:-edge] = (128, 128, 128, 0)
    return Committee.of(Prompt(rgba, canvas, "add", 1.0, {"name": "padding", "params": {"size": edge}}))


def prompts() -> dict[str, Committee]:
    """Prompts that a pair of PNGs can hold: golden ones, and one for each other step but an oblique rotation."""
    golden = {f"golden {name}": load_committee(GOLDEN / f"prompts/{name}.png") for name in ("add-crop", "add-scaled")}
    base, letterbox = Canvas((20, 24)), Canvas((20, 24), aspect="letterbox", resample="lanczos", fill=(9, 99, 250))
    frame = Pattern((200, 30, 0))
    views = {
        "flip": View(size=1.4, flip=True, resample="box").prompt(base),
        "turn": View(size=0.7, rotation=90.0, tone=Tone(0.5, 1.7, True), frame=frame, resample="nearest").prompt(base),
        "letterbox": View(tone=Tone(contrast=0.5), patch=Patch(0.2, pattern=frame)).prompt(letterbox),
    }
    return golden | {f"golden {name}": Committee.of(view) for name, view in views.items()}


def cases(recipe: Recipe, folder: Path) -> Iterator[tuple[str, Committee, Path, Path]]:
    """Yields (what, prompt, exported prompt, image)."""
    small = [path for path in sorted((GOLDEN / "images").glob("*.png")) if path.stem != "clear"]
    photos = sorted(Path(os.environ.get("PIXPROMPT_ASSETS", ""), "data/imagenet-samples").rglob("*.*"))[::125]
    whole = folder / "whole.png"  # an image that is a canvas already
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (224, 224, 3), dtype=np.uint8)).save(whole)
    every = {
        **{name: (prompt, small) for name, prompt in prompts().items() if recipe.exact},
        "photos": (framed(Canvas((160, 160), crop_pct=0.875, resample="bilinear")), photos),
        "photos, bicubic": (framed(Canvas((160, 160), crop_pct=0.875)), photos),
        "canvas": (framed(Canvas((224, 224))), [whole]),
    }
    for name, (prompt, images) in every.items():
        if not recipe.plain or is_plain(prompt.pages[0].canvas):
            export_prompt(prompt, folder / name, "pair")
            yield from ((name.split()[0].rstrip(","), prompt, folder / name, image) for image in images)


def is_plain(canvas: Canvas) -> bool:
    """Whether the image fills the canvas as the shell recipe expects."""
    return canvas.is_basic and canvas.fit == "resize" and canvas.aspect == "crop" and canvas.resample != "hamming"


def compare(recipe: Recipe, folder: Path) -> dict[str, dict[str, float]]:
    """Returns, for each kind of image, how many pixels differ from `apply` and by how much."""
    differences: dict[str, list[np.ndarray]] = {}
    for what, prompt, exported, image in cases(recipe, folder):
        pixels = recipe.run(exported, image, folder / "out.png").astype(int)
        expected = np.asarray(prompt.single.apply(decode(image))).astype(int)
        differences.setdefault(what, []).append(np.abs(pixels - expected).ravel())
    return {
        what: {
            "images": len(actual),
            "largest": int(max(each.max() for each in actual)),
            "differ": round(float(np.mean(np.concatenate(actual) > 0)), 4),
            "mean": round(float(np.mean(np.concatenate(actual))), 4),
        }
        for what, actual in differences.items()
    }


def main() -> None:
    """Writes results.json and prints the table of README.md."""
    with tempfile.TemporaryDirectory() as place:
        results = {recipe.name: compare(recipe, Path(place)) for recipe in recipes(Path(place))}
    (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    lines = ["| recipe | images | largest difference | values that differ |", "|---|---|---|---|"]
    for name, kinds in results.items():
        for what, line in kinds.items():
            lines.append(f"| {name} | {what} ({line['images']}) | {line['largest']} | {line['differ']:.1%} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
