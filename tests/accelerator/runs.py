"""Runs of every kind on the CPU and on an accelerator: python tests/accelerator/runs.py LIBRARY FOLDER

Prints one JSON line per case and device: what was reached, kept and read again from its files, and the losses.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import timm
import torch
from torch import nn

from pixprompt import as_model
from pixprompt.data import Data, from_arrays
from pixprompt.engine import TrainConfig, evaluate, train

SOURCE = Path(__file__).with_name("backend.cpp")
NAME = "pretend"
"""Of the accelerator that `backend.cpp` makes."""
SIZE = 32
CONTRAST = 6
"""Of the pictures; few enough that no method reads all of them right."""
CLASSES = ("red", "green", "striped")
SHORT = {"epochs": 2, "batch_size": 16, "precision": "fp32"}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "prompt and head": ("resnet", SHORT),
    "mapping": ("resnet", {"output": "frequency", "template": "padding", "size": 4, "augment": "crop", **SHORT}),
    "blend over": ("resnet", {"blend": "over", "opacity": "learned", "template": "patch", "size": 6, **SHORT}),
    "views": ("resnet", {"views": "2", "budget": 500}),
    "pixels by answers": ("resnet", {"optimizer": "spsa", "budget": 400, "size": 4}),
    "linear": ("resnet", {"method": "linear", **SHORT}),
    "vpt-deep": ("vit", {"method": "vpt-deep", "tokens": 2, "dropout": 0.0, **SHORT}),
    "sa2vp-deep": ("vit", {"method": "sa2vp-deep", "dropout": 0.0, **SHORT}),
    "lora": ("vit", {"method": "lora", **SHORT}),
}


def compiled(compiler: str, folder: Path) -> Path:
    """Returns the library; takes half a minute."""
    from torch.utils.cpp_extension import include_paths, library_paths

    library = folder / "backend.so"
    includes = [f"-I{path}" for path in include_paths()]
    libraries = [f"-L{path}" for path in library_paths()]
    flags = [
        "-shared",
        "-fPIC",
        "-std=c++20",
        "-O0",
        f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}",
    ]
    command = [
        compiler,
        *flags,
        str(SOURCE),
        *includes,
        *libraries,
        "-ltorch",
        "-ltorch_cpu",
        "-lc10",
        "-o",
        str(library),
    ]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return library


def register(library: Path) -> None:
    """Loads it into this process, for good."""
    torch.ops.load_library(str(library))
    torch.utils.rename_privateuse1_backend(NAME)
    own: Any = ModuleType(f"torch.{NAME}")
    own.is_available = own.is_initialized = lambda: True
    own.device_count, own.current_device = lambda: 1, lambda: 0
    own.mem_get_info = lambda device=None: (2**30, 2**31)
    own.get_amp_supported_dtype = lambda: [torch.bfloat16]
    own.manual_seed_all, own._is_in_bad_fork = (lambda seed: None), (lambda: False)
    torch._register_device_module(NAME, own)
    torch.utils.generate_methods_for_privateuse1_backend(for_storage=True)


def data() -> Data:
    """Three kinds of noisy pictures."""

    def part(count: int, seed: int) -> Any:
        draw, labels = np.random.default_rng(seed), np.arange(count) % 3
        pixels = draw.integers(0, 120, (count, SIZE, SIZE, 3))
        pixels[labels == 0, :, :, 0] += CONTRAST
        pixels[labels == 1, :, :, 1] += CONTRAST
        pixels[labels == 2, ::2] += CONTRAST
        return from_arrays(pixels.astype(np.uint8), labels, prefix=f"{seed}")

    return Data("toy", CLASSES, part(60, 1), part(30, 2), part(45, 3))


def net(kind: str) -> nn.Module:
    """A small net with random weights."""
    torch.manual_seed(0)
    if kind == "resnet":
        return timm.create_model("resnet10t", num_classes=6)
    return timm.create_model("vit_tiny_patch16_224", img_size=SIZE, patch_size=8, depth=2, num_classes=6)


def mixed() -> str:
    """What is said where tensors of both devices meet."""
    try:
        torch.ones(2, 2, device=NAME) @ torch.ones(2, 2)
    except RuntimeError as error:
        return str(error)
    return ""


def run(case: str, device: str, out: Path) -> dict[str, Any]:
    """What a run gives without its clocks."""
    kind, values = CASES[case]
    model = as_model(net(kind).to(device), image_size=(SIZE, SIZE), name=kind)
    result = train(TrainConfig(model=kind, data="toy", device=device, **values), out=out, model=model, data=data())
    again = evaluate(out, model=model, data=data())
    scores = [
        [value for score in rungs.values() if score for value in (score.val, score.test) if value is not None]
        for rungs in (result.accuracy, again.accuracy)
    ]
    history = out / "history.jsonl"
    lines = map(json.loads, history.read_text().splitlines()) if history.exists() else ()
    losses = [value for line in lines for name, value in line.items() if name.endswith("loss")]
    return {"best": result.best, "scores": scores, "losses": losses}


def main() -> None:
    """Runs all cases on both devices."""
    library, folder = map(Path, sys.argv[1:])
    register(library)
    torch.set_num_threads(1)
    sys.stdout.write(json.dumps({"mixed": mixed()}) + "\n")
    for case in CASES:
        results = {device: run(case, device, folder / f"{case} {device}") for device in ("cpu", NAME)}
        sys.stdout.write(json.dumps({"case": case, **results}) + "\n")


if __name__ == "__main__":
    main()
