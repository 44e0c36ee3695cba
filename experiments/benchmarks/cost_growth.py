"""How time and memory grow: with batch, image size, classes, prompt size, data and the length of a ledger.

    python experiments/benchmarks/cost_growth.py [NAME ...] [--out experiments/benchmarks/cost_growth.jsonl]

Every point runs in a process of its own. A line has the processor seconds of the faster of two repeats, which other
work on the machine hardly changes, and the memory that the process took above what it began with. Nets have random
weights. `draw.py benchmarks` draws the lines.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from torch import nn

import pixprompt
from pixprompt import Canvas, Prompt
from pixprompt.adapters import PixelPrompt, make_vpt
from pixprompt.bulk import Prompter, find_jobs
from pixprompt.canvas import encode_png
from pixprompt.core import ModelSpec
from pixprompt.data import each_image, load_data, load_images, make_canvases
from pixprompt.ledger import Ledger, read_ledger
from pixprompt.outputs import make_output
from pixprompt.templates import Add, make_template

Work = Callable[[], Any]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    """Numbers in [0, 1)."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def step(forward: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, classes: int) -> Work:
    """A training step without its optimiser."""
    labels = torch.arange(len(images)) % classes
    return lambda: nn.functional.cross_entropy(forward(images), labels).backward()


def pixel(net: nn.Module, side: int, classes: int = 10, padding: int = 8) -> PixelPrompt:
    """A frame for a net."""
    model = pixprompt.as_model(net, image_size=(side, side), mean=(0.5,) * 3, std=(0.5,) * 3, name="net")
    template = make_template("padding", canvas_size=(side, side), size=padding, blend=Add())
    names = tuple(map(str, range(classes)))
    return PixelPrompt(template, model, make_output("first-k", classes=names, spec=model.spec))


@contextmanager
def step_against_batch(value: int) -> Iterator[Work]:
    """A frame on a small transformer."""
    net = timm.create_model("vit_tiny_patch16_224", num_classes=10)
    yield step(pixel(net, 224), random(value, 3, 224, 224), 10)


@contextmanager
def step_against_side(value: int) -> Iterator[Work]:
    """A frame on a ResNet-18."""
    yield step(pixel(timm.create_model("resnet18", num_classes=10), value), random(2, 3, value, value), 10)


@contextmanager
def step_against_classes(value: int) -> Iterator[Work]:
    """A frame on a net with ten thousand outputs."""
    net = nn.Sequential(nn.Conv2d(3, 64, 8, stride=8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10_000))
    yield step(pixel(net, 64, value), random(16, 3, 64, 64), value)


@contextmanager
def step_against_tokens(value: int) -> Iterator[Work]:
    """Deep prompts in a small transformer, which has 197 tokens of its own."""
    net = timm.create_model("vit_tiny_patch16_224", num_classes=0).requires_grad_(False).eval()
    adapter = make_vpt(pixprompt.as_model(net), [str(label) for label in range(10)], tokens=value)
    yield step(adapter, random(1, 3, 224, 224), 10)


@contextmanager
def template_against_padding(value: int) -> Iterator[Work]:
    """The template alone, forward and backward, on 16 canvases."""
    template = make_template("padding", canvas_size=(224, 224), size=value, blend=Add())
    theta, images = template.init().requires_grad_(), random(16, 3, 224, 224)
    yield lambda: template(images, theta).sum().backward()


def fit_against_classes(kind: str, num_outputs: int) -> Callable[[int], Any]:
    """An output transform fitted to 4,000 answers, and to two for each class where there are more classes."""

    @contextmanager
    def make(value: int) -> Iterator[Work]:
        count = max(4000, 2 * value)
        outputs, labels = random(count, num_outputs) * 9, torch.arange(count) % value
        names = tuple(map(str, range(value)))
        output = make_output(kind, classes=names, spec=ModelSpec("net", (8, 8), num_outputs))
        yield lambda: output.refit(outputs, labels)(outputs[:100])

    return make


@contextmanager
def files(count: int) -> Iterator[Path]:
    """A folder with two classes and so many names of one small file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "in")
        for label in range(2):
            (folder / str(label)).mkdir(parents=True)
            Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(folder / str(label) / "0.png")
        for number in range(1, count // 2):
            for label in range(2):
                if number % 1000 == 0:  # a file may have some thousand names
                    (folder / str(label) / f"{number}.png").write_bytes((folder / str(label) / "0.png").read_bytes())
                else:
                    first = number - number % 1000
                    os.link(folder / str(label) / f"{first}.png", folder / str(label) / f"{number}.png")
        yield folder


def on_files(work: Callable[[Path], Any], before: Callable[[Path], Any] = str) -> Callable[[int], Any]:
    """Something done with a folder, against its files; something else is done with it before, and not measured."""

    @contextmanager
    def make(value: int) -> Iterator[Work]:
        with files(value) as folder:
            before(folder)
            yield lambda: work(folder)

    return make


def put(folder: Path) -> None:
    """Puts a prompt on all images of a folder, as `pixprompt apply` does."""
    prompt = Prompt(np.zeros((16, 16, 4), np.uint8), Canvas((16, 16)), "over", None, {})
    jobs = find_jobs([folder], folder.parent / "out", ".png", keep=folder)
    for _ in Prompter(prompt, encode_png).work_all(jobs, 1):
        pass


def canvases(folder: Path) -> None:
    """Finds the canvases of all images of a folder, and decodes those that no earlier call has decoded."""
    make_canvases(load_images(str(folder)), Canvas((16, 16)), cache=folder.parent / "cache")


def on_ledger(work: Callable[[Path, list[bytes]], Any]) -> Callable[[int], Any]:
    """Something done with a ledger, against its answers."""

    @contextmanager
    def make(value: int) -> Iterator[Work]:
        with tempfile.TemporaryDirectory() as name:
            path = Path(name, "ledger.sqlite")
            with Ledger(path) as ledger:
                ledger.durability = "os"
                for start in range(0, value, 500):
                    keys = [number.to_bytes(16, "big") for number in range(start, min(start + 500, value))]
                    ledger.answer(ledger.intend(keys), np.zeros((len(keys), 10), np.float32))
            some = [number.to_bytes(16, "big") for number in range(0, value, value // 500)]
            yield lambda: work(path, some)

    return make


def look_up(path: Path, keys: list[bytes]) -> None:
    """Opens a ledger, finds 500 answers, and writes one more request down."""
    with Ledger(path) as ledger:
        ledger.durability = "os"
        ledger.find(keys)
        ledger.answer(ledger.intend([os.urandom(16)]), np.zeros((1, 10), np.float32))


NUMBERS = (1000, 10_000, 100_000)
POINTS: dict[str, tuple[str, Callable[[int], Any], tuple[int, ...]]] = {
    "training step, small ViT": ("images per batch", step_against_batch, (1, 2, 4, 8)),
    "training step, ResNet-18": ("pixels of a side", step_against_side, (32, 64, 128, 256)),
    "training step, 10,000 outputs": ("classes", step_against_classes, (10, 100, 1000, 10_000)),
    "VPT-deep step": ("prompt tokens", step_against_tokens, (1, 10, 100, 200)),
    "template alone": ("pixels of padding", template_against_padding, (1, 4, 16, 64, 100)),
    **{
        f"fit of '{kind}'": ("classes", fit_against_classes(kind, num_outputs), numbers)
        for kind, num_outputs, numbers in (
            ("frequency", 1000, (10, 100, 1000)),
            *((kind, 64, (10, 100, 1000, 10_000)) for kind in ("blm+", "ridge", "lda", "linear")),
        )
    },
    "load_data of a folder": ("files", on_files(lambda folder: load_data(f"folder:{folder}")), NUMBERS),
    "names of predict": ("files", on_files(lambda folder: sum(1 for _ in each_image(str(folder)))), NUMBERS),
    "canvases, decoded before": ("files", on_files(canvases, canvases), (1000, 4000, 16_000)),
    "apply": ("files", on_files(put), (2000, 20_000, 200_000)),
    "ledger: open, find, ask": ("answers", on_ledger(look_up), NUMBERS),
    "pixprompt ledger": ("answers", on_ledger(lambda path, _: read_ledger(path)), NUMBERS),
}
"""Name -> (what is varied, what makes the work, the values)."""


def memory_mb() -> float:
    """Memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def measure(name: str, value: int) -> dict[str, Any]:
    """Measures one point; a single time where that takes long."""
    against, result, _ = POINTS[name]
    with result(value) as work:
        before, seconds, began = memory_mb(), [], time.perf_counter()
        while len(seconds) < 2 and time.perf_counter() - began < 30:
            used = time.process_time()
            work()
            seconds.append(time.process_time() - used)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = {"what": name, "against": against, "value": value, "seconds": round(min(seconds), 5)}
    return {**line, "memory_mb": round(peak - before, 2)}


def in_a_process(name: str, value: int, out: Path) -> None:
    """Measures one point in a child, which appends its line."""
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        try:
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(measure(name, value)) + "\n")
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)  # without what the parent has to tidy up
    if os.waitpid(child, 0)[1] != 0:
        print(f"{name} at {value} failed", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(POINTS)}")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    options = parser.parse_args()
    for chosen in options.names or POINTS:
        for number in POINTS[chosen][2]:
            in_a_process(chosen, number, options.out)
            print(options.out.read_text("utf-8").splitlines()[-1], file=sys.stderr)
