"""Pixel methods of the field in miniature, each with its published settings but for epochs and batch size.

    python experiments/methods/pixels.py ../shared

ResNet-18 reads handwritten digits on canvases of 64 pixels, on which frames are 64/224 of the published ones; mini-CLIP
reads CIFAR-10 at its own 224. Appends to `pixels.jsonl` and prints the rows of the README's table. A method's own
prompt is scored on test whether or not it was kept; the head reads the answers to the images as they are.
"""

import json
import sys
import tempfile
from pathlib import Path

import torchvision
from PIL import Image
from record import record
from safetensors.torch import load_file
from sklearn.datasets import load_digits

from pixprompt import TrainConfig, as_model
from pixprompt.models import TorchModel

sys.path.insert(0, str(Path(__file__).parents[1]))
from sweep import write_csv

HERE = Path(__file__).parent
SIDE = 64
FRAME = {"size": round(30 * SIDE / 224)}
SHORT = {"epochs": 5, "batch_size": 16, "precision": "fp32", "workers": 1}
METHODS = {
    "pixel": {"output": "frequency", **FRAME},
    "EVP": {"preset": "evp", **FRAME},
    "LoR-VP": {"method": "lor-vp"},
    "AutoVP": {"method": "autovp"},
    "SMM": {"method": "smm"},
    "DAM-VP": {"method": "dam-vp", **FRAME},
}
ATTRIBUTES = {"mapping": "cifar10_attributes.json"}
CLIP_METHODS = {
    "pixel": {},
    "AttrVR": {"preset": "attrvr", **ATTRIBUTES},
    "DVP": {"method": "dvp", **ATTRIBUTES},
}


def main(assets: Path, scratch: Path) -> None:
    """Runs what is not there yet."""
    write_digits(scratch / "digits")
    write_csv(scratch / "digits", scratch / "digits.csv", train=20, test=20)
    for name, settings in METHODS.items():
        where = {"data": f"csv:{scratch}/digits.csv"}
        run(name, "ResNet-18", "digits", {**SHORT, **settings}, where, lambda: {"model": resnet18(assets)})
    write_csv(assets / "data/cifar10", scratch / "cifar10.csv", train=8, test=8)
    mini = f"open_clip:local-dir:{assets}/weights/mini-clip-vit-ti16"
    for name, settings in CLIP_METHODS.items():
        where = {"data": f"csv:{scratch}/cifar10.csv", "model": mini}
        run(name, "mini-CLIP", "CIFAR-10", {**SHORT, "epochs": 3, **settings}, where, dict)


def resnet18(assets: Path) -> TorchModel:
    """Returns the classifier on small canvases, with its real weights."""
    net = torchvision.models.resnet18()
    net.load_state_dict(load_file(assets / "weights/resnet18.safetensors"))
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return as_model(net, image_size=SIDE, mean=mean, std=std, name=f"ResNet-18 at {SIDE} pixels")


def write_digits(folder: Path) -> None:
    """Writes scikit-learn's digits as files, the last third of them as test images."""
    digits = load_digits()
    for index, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        split = "train" if index < 1200 else "test"
        (folder / split / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 255 / 16).astype("uint8")).save(folder / split / str(label) / f"{index:04}.png")


def run(name, model, data, settings, where, parts) -> None:
    """Runs one method, if it has not been run."""
    files = {key: str(HERE / value) for key, value in settings.items() if key == "mapping"}
    head = {"method": name, "model": model, "data": data, "settings": settings}
    line = record(HERE / "pixels.jsonl", head, TrainConfig(**where, **{**settings, **files}), parts)
    if line is not None:
        print(row(line), flush=True)


def row(line: dict) -> str:
    """Returns a row of the README's table."""
    result = line["result"]
    none, own, only = (result["accuracy"][rung] for rung in ("no_prompt", "prompt_float", "output_only"))
    cells = [line["method"], line["model"], line["data"], f"{result['parameters']:,}"]
    cells += [f"{none['test']:.3f} ({none['output']})", f"**{own['test']:.3f}** ({own['output']})"]
    cells += ["kept" if result["best"] != "none" else "rejected", f"{only['test']:.3f} ({only['output']})"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared").resolve(), Path(scratch))
    for line in (HERE / "pixels.jsonl").read_text().splitlines():
        print(row(json.loads(line)))
