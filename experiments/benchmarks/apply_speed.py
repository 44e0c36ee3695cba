"""Speed of `pixprompt apply` against a plain Pillow loop that decodes, resizes, composites and encodes.

    python experiments/benchmarks/apply_speed.py FOLDER [--count 300] [--format png|jpeg] [--repeats 3]

Both read the same files and write the same format; the order of the variants is turned in every repeat and the best
of each is kept. `plain` saves PNG at Pillow's own compression, `plain_fast` at the level that `apply` uses. The
processes that `apply` does not use are measured too. Prints one JSON line: images per second, the ratio to `plain`,
and processor time per image, which says more on a machine that has other work.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pixprompt import Canvas, Prompt
from pixprompt.cli import main

SIZE, FRAME, LEVEL = 224, 30, 1
SUFFIXES = {".jpeg", ".jpg", ".png"}


def make_prompt(path: Path) -> None:
    """Saves a random opaque frame, as padding prompts are."""
    rgba = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 4), dtype=np.uint8)
    rgba[..., 3] = 255
    rgba[FRAME:-FRAME, FRAME:-FRAME] = 0
    Prompt(rgba, Canvas((SIZE, SIZE)), "over", None, {"name": "padding", "params": {"size": FRAME}}).save(path)


def plain(prompt: Path, sources: list[Path], out: Path, options: dict[str, Any]) -> None:
    """The loop that anybody would write with Pillow alone."""
    with Image.open(prompt) as overlay:
        color, mask = overlay.convert("RGB"), overlay.getchannel("A")
    for source in sources:
        with Image.open(source) as opened:
            image = opened.convert("RGB")
        scale = SIZE / min(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
        left, top = (image.width - SIZE) // 2, (image.height - SIZE) // 2
        image = image.crop((left, top, left + SIZE, top + SIZE))
        image.paste(color, (0, 0), mask)
        image.save(out / f"{source.stem}{options['suffix']}", **options["save"])


def in_process(arguments: list[str]) -> None:
    """`pixprompt apply` in this process."""
    with contextlib.redirect_stdout(io.StringIO()):
        if main(["apply", *arguments]) != 0:
            raise SystemExit("apply failed")


def command_line(arguments: list[str]) -> None:
    """`pixprompt apply` as typed, its start included."""
    subprocess.run([sys.executable, "-m", "pixprompt", "apply", *arguments], check=True, stdout=subprocess.DEVNULL)


def processes(prompt: Path, sources: list[Path], out: Path, options: dict[str, Any], *, number: int) -> None:
    """The plain loop in several processes, each with its share of the files."""
    with multiprocessing.get_context("spawn").Pool(number) as pool:
        pool.starmap(plain, [(prompt, sources[part::number], out, options) for part in range(number)])
        pool.close()
        pool.join()


def variants(folder: Path, sources: list[Path], file_format: str) -> dict[str, Callable[[Path], None]]:
    """Gives name -> what writes all images into a folder."""
    prompt = folder / "prompt.png"
    make_prompt(prompt)
    suffix = {"png": ".png", "jpeg": ".jpg"}[file_format]
    jpeg = {"quality": 95, "subsampling": "4:4:4"}
    default = {"suffix": suffix, "save": {} if file_format == "png" else jpeg}
    fast = {"suffix": suffix, "save": {"compress_level": LEVEL} if file_format == "png" else jpeg}
    inputs = [str(prompt), *map(str, sources), "--format", file_format]
    results: dict[str, Callable[[Path], None]] = {
        "plain": partial(plain, prompt, sources, options=default),
        "plain_fast": partial(plain, prompt, sources, options=fast),
        "plain_fast_2_processes": partial(processes, prompt, sources, options=fast, number=2),
    }
    for workers in (1, 2):
        for name, call in (("call", in_process), ("command", command_line)):
            results[f"apply_{name}_{workers}"] = lambda out, call=call, workers=workers: call(  # type: ignore[misc]
                [*inputs, "--out", str(out), "--workers", str(workers)]
            )
    return results


def measure(folder: Path, sources: list[Path], file_format: str, repeats: int) -> dict[str, dict[str, float]]:
    """Gives, for each variant, the best images per second and the least processor time per image."""
    runs = list(variants(folder, sources, file_format).items())
    results: dict[str, dict[str, float]] = {}
    for repeat in range(repeats):
        for name, run in runs[repeat % len(runs) :] + runs[: repeat % len(runs)]:
            out = folder / "out"
            out.mkdir()
            start, used = time.perf_counter(), sum(os.times()[:4])
            run(out)
            speed = len(sources) / (time.perf_counter() - start)
            cpu = 1000 * (sum(os.times()[:4]) - used) / len(sources)
            best = results.setdefault(name, {"images_per_second": speed, "cpu_ms_per_image": cpu})
            best["images_per_second"] = max(best["images_per_second"], speed)
            best["cpu_ms_per_image"] = min(best["cpu_ms_per_image"], cpu)
            if len(list(out.iterdir())) != len(sources):
                raise SystemExit(f"{name} did not write every image")
            shutil.rmtree(out)
    for best in results.values():
        best["speed_ratio"] = best["images_per_second"] / results["plain"]["images_per_second"]
    return {name: {key: round(value, 2) for key, value in best.items()} for name, best in results.items()}


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--format", choices=["png", "jpeg"], default="png", dest="file_format")
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    options = parse()
    images = sorted(path for path in options.folder.rglob("*") if path.suffix.lower() in SUFFIXES)[: options.count]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        speeds = measure(Path(temporary), images, options.file_format, options.repeats)
    facts = {
        "images": len(images),
        "format": options.file_format,
        "cores": os.cpu_count(),
        "load_before": round(load, 1),
    }
    print(json.dumps({**facts, **speeds}))
