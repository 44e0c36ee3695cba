"""What a run costs before its first training step when there are many small files: seconds and memory.

    python large_set.py FOLDER [COUNT]

makes COUNT (100,000) images of 16x16 pixels in 100 classes below FOLDER, then trains one epoch on them in a process of
its own, decoded as they are read, and once more decoded beforehand; before that it reads them without any run. It
prints a line of JSON for each.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

MODEL = """
import json, os, sys, time, resource
import torch
BEGAN = float(os.environ["BEGAN"])
seen = {}
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(3, 100)
    def forward(self, images):
        if "first_query" not in seen and len(images) >= 32:  # a check before the run asks about fewer
            seen["first_query"] = round(time.time() - BEGAN, 1)
            seen["peak_mb_at_first_query"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        if len(images) == 256 and "first_step" not in seen:
            seen["first_step"] = round(time.time() - BEGAN, 1)
            seen["peak_mb_at_first_step"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            with open(os.environ["SEEN"], "w") as file:
                json.dump(seen, file)
        return self.head(images.mean((2, 3)))
net = Net().eval()
"""
RUN = """
import sys
from pixprompt.data.canvases import cache
if sys.argv[1] == "before":
    cache.AT_ONCE = 10**9
from pixprompt.cli import main
sys.exit(main(sys.argv[2:]))
"""

READ = """
import json, resource, sys, time
from pathlib import Path
from pixprompt.canvas import Canvas
from pixprompt.data import load_data, make_canvases
began, seen = time.time(), {}
def note(name):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    seen[name] = {"seconds": round(time.time() - began, 1), "peak_mb": peak}
images = load_data(sys.argv[1]).train
note("found")
canvases = make_canvases(images, Canvas((32, 32)), workers=2, cache=Path(sys.argv[2]))
canvases.pixels[:256]
note("first batch")
for start in range(0, len(images), 256):
    canvases.pixels[start : start + 256]
note("all")
print(json.dumps(seen))
"""


def make(folder: Path, count: int) -> None:
    """Writes the images as PPM files: 13 bytes of header, then noise."""
    rng = np.random.default_rng(0)
    for part, number in (("train", count), ("val", 500), ("test", 500)):
        for label in range(100):
            (folder / part / f"c{label:02d}").mkdir(parents=True, exist_ok=True)
        for index in range(number):
            pixels = rng.integers(0, 256, 16 * 16 * 3, dtype=np.uint8)
            path = folder / part / f"c{index % 100:02d}" / f"{index:06d}.ppm"
            path.write_bytes(b"P6 16 16 255\n" + pixels.tobytes())


def measure(folder: Path, when: str) -> dict[str, object]:
    """Trains one epoch in a process of its own with an empty cache."""
    work = folder / f"work-{when}"
    work.mkdir()
    (work / "tiny.py").write_text(MODEL)
    environment = {
        **os.environ,
        "BEGAN": str(time.time()),
        "SEEN": str(work / "seen.json"),
        "PIXPROMPT_CACHE": str(work / "cache"),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(work), os.environ.get("PYTHONPATH", "")])),
    }
    options = ["train", "--model", "python:tiny:net@32", "--data", f"folder:{folder / 'images'}", "--size", "4"]
    options += ["--output", "frequency", "--epochs", "1", "--batch-size", "256", "--out", str(work / "run"), "--json"]
    process = subprocess.run(
        [sys.executable, "-c", RUN, when, *options], env=environment, capture_output=True, text=True
    )
    if process.returncode:
        raise SystemExit(process.stderr[-2000:])
    usage = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    payload = json.loads((work / "seen.json").read_text())
    return {
        "decoded": when,
        **payload,
        "seconds": round(time.time() - float(environment["BEGAN"]), 1),
        "peak_mb": usage,
    }


if __name__ == "__main__":
    place, many = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    if not (place / "images").exists():
        make(place / "images", many)
    reading = [sys.executable, "-c", READ, f"folder:{place / 'images'}", str(place / "read-cache")]
    alone = json.loads(subprocess.run(reading, capture_output=True, text=True, check=True).stdout)
    print(json.dumps({"images": many, "decoded": "as they are read, no run", **alone}), flush=True)
    for kind in ("as they are read", "before"):
        print(json.dumps({"images": many, **measure(place, kind)}), flush=True)
