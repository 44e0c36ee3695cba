"""Pixel methods of the field in miniature, each with its published settings but for epochs and batch size.

    python experiments/methods/pixels.py ../shared

Appends to `pixels.jsonl` and prints the rows of the README's table. A method's own prompt is scored on test whether or
not it was kept; the head reads the answers to the images as they are.
"""

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from sweep import sweep, write_csv

HERE = Path(__file__).parent
RESNET = {"model": "torchvision:resnet18", "weights": "{assets}/weights/resnet18.safetensors"}
CLIP = {"model": "open_clip:local-dir:{assets}/weights/mini-clip-vit-ti16"}
DATA = {
    "digits": {"data": "digits", "shots": 40},
    "CIFAR-10": {"data": "csv:{scratch}/cifar10.csv", "shots": 40},
}
SHORT = {"epochs": 6, "batch_size": 32, "precision": "fp32"}
METHODS = {
    "pixel": {},
    "EVP": {"preset": "evp"},
    "LoR-VP": {"method": "lor-vp"},
}


def rows() -> list[tuple[str, dict]]:
    """Every method on both data sets, first with the classifier."""
    return [
        (f"{name}, {model}, {data}", {**which, **DATA[data], **SHORT, **settings})
        for name, settings in METHODS.items()
        for model, which in (("ResNet-18", RESNET), ("mini-CLIP", CLIP))
        for data in DATA
        if settings.get("output") != "attributes" or which is CLIP
    ]


def table() -> str:
    """Returns the rows of the README's table."""
    lines = [json.loads(line) for line in (HERE / "pixels.jsonl").read_text().splitlines()]
    return "\n".join(_row(line["name"], line["result"]) for line in lines)


def _row(name: str, result: dict) -> str:
    rungs = result["accuracy"]
    own, none, only = (rungs[rung] for rung in ("prompt_float", "no_prompt", "output_only"))
    kept = "kept" if result["best"] != "none" else "rejected"
    method, model, data = name.split(", ")
    numbers = f"{none['test']:.3f} | {own['test']:.3f} | {kept} | {only['test']:.3f} ({only['output']})"
    return f"| {method} | {model} | {data} | {result['parameters']:,} | {numbers} |"


if __name__ == "__main__":
    assets = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared").resolve()
    with tempfile.TemporaryDirectory() as scratch:
        write_csv(assets / "data/cifar10", Path(scratch, "cifar10.csv"), train=60, test=40)
        sweep(HERE, rows(), {"assets": assets, "scratch": Path(scratch)}, "pixels.jsonl")
    print(table())
