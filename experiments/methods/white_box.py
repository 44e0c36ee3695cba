"""White-box methods of the field in miniature, and what CLIP's users would take instead of a prompt.

    python experiments/methods/white_box.py ../shared

ViT-Ti/16 reads canvases of 96 pixels, 36 patches, so that an epoch takes seconds; mini-CLIP has its own 224 pixels and
its frozen embeddings are made once. Appends to `white_box.jsonl` what is not there yet and prints the rows of the
README's table.
"""

import hashlib
import sys
import tempfile
from pathlib import Path

import timm
import torch
from record import record

from pixprompt import TrainConfig, as_model, load_model
from pixprompt.models import TorchModel

sys.path.insert(0, str(Path(__file__).parents[1]))
from sweep import write_csv

HERE = Path(__file__).parent
SIDE = 96
SHORT = {"epochs": 5, "batch_size": 16, "precision": "fp32", "workers": 1}
METHODS = {
    "linear": {"method": "linear"},
    "bias": {"method": "bias"},
    "SSF": {"method": "ssf"},
    "VPT-deep": {"method": "vpt-deep"},
    "E²VPT": {"method": "e2vpt"},
    "E²VPT, half pruned": {"method": "e2vpt", "prune_tokens": 0.5, "prune_segments": 0.5},
    "EXPRES": {"method": "expres"},
}
CACHES = {
    "linear": {"method": "linear"},
    "Tip-Adapter": {"method": "tip-adapter"},
    "Tip-Adapter-F": {"method": "tip-adapter-f"},
}
CONTEXTS = {
    "CoOp": {"method": "coop", "epochs": 20},
    "CoOp, from words": {"method": "coop", "epochs": 20, "context_text": "a photo of a"},
}


def vit(assets: Path) -> TorchModel:
    """Returns the classifier on small canvases, with its real weights and its positions interpolated."""
    file = str(assets / "weights/vit_tiny_patch16_224.safetensors")
    overlay = {"file": file}
    net = timm.create_model("vit_tiny_patch16_224", img_size=SIDE, pretrained=True, pretrained_cfg_overlay=overlay)
    return as_model(net, image_size=SIDE, mean=(0.5,) * 3, std=(0.5,) * 3, name=f"ViT-Ti at {SIDE} pixels")


def mini_clip(assets: Path) -> TorchModel:
    """Returns the dual encoder, which encodes an image once, however many runs ask."""
    model = load_model(f"open_clip:local-dir:{assets}/weights/mini-clip-vit-ti16")
    encode, known = model.net.encode_image, {}

    def encode_image(images: torch.Tensor) -> torch.Tensor:
        keys = [hashlib.sha256(image.numpy().tobytes()).digest() for image in images]
        new = [place for place, key in enumerate(keys) if key not in known]
        known.update(zip([keys[place] for place in new], encode(images[new]) if new else (), strict=True))
        return torch.stack([known[key] for key in keys])

    model.net.encode_image = encode_image
    return model


def main(assets: Path, scratch: Path) -> None:
    """Runs all methods."""
    for name, train_images in (("cifar10", 20), ("flowers5", 20)):
        write_csv(assets / "data" / name, scratch / f"{name}.csv", train=train_images, test=20)
    cifar, flowers = ({"data": f"csv:{scratch}/{name}.csv"} for name in ("cifar10", "flowers5"))
    mini = {"model": mini_clip(assets)}
    small = {"digits": {"data": "digits", "shots": 12}, "CIFAR-10": cifar}
    for seed in range(3):
        for part in (CACHES, None, CONTEXTS):
            for name, settings in (part or {}).items():
                for data, where in (("CIFAR-10", cifar), ("flowers", flowers)):
                    run(name, "mini-CLIP", data, {"workers": 1, **settings, "seed": seed}, where, lambda: mini)
            for data, where in small.items() if part is None and seed == 0 else ():
                for name, settings in METHODS.items():
                    run(
                        name, "ViT-Ti", data, {**SHORT, **settings, "seed": seed}, where, lambda: {"model": vit(assets)}
                    )


def run(name, model, data, settings, where, parts) -> None:
    """Runs what is not there yet."""
    head = {"method": name, "model": model, "data": data, "settings": settings}
    line = record(HERE / "white_box.jsonl", head, TrainConfig(**where, **settings), parts)
    if line is not None:
        print(row(line), flush=True)


def row(line: dict) -> str:
    """Returns a row of the README's table."""
    result = line["result"]
    none, own, only = (result["accuracy"][rung]["test"] for rung in ("no_prompt", "prompt_float", "output_only"))
    cells = [line["method"], line["model"], line["data"], str(line["settings"]["seed"]), f"{result['parameters']:,}"]
    return "| " + " | ".join([*cells, *(f"{value:.3f}" for value in (none, only, own))]) + " |"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared").resolve(), Path(folder))
