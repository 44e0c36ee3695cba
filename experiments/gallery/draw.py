"""What prompts look like: learns a few, and draws them on photos that may be shown.

python experiments/gallery/draw.py ASSETS RUNS PHOTO...

ASSETS is the folder with the real weights and images; RUNS one for the runs, of which those that are there stay.
The photos here are `chelsea.png`, `coffee.png` and `rocket.jpg` of scikit-image, and `flower.jpg` of scikit-learn.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))
from sweep import write_csv

from pixprompt import Canvas, TrainConfig, load_committee, train
from pixprompt.core import Model
from pixprompt.models import as_model, load_model
from pixprompt.plots import WHITE, Cell, Column, Mark, Pixels, gallery_figure, heat_overlay, heat_pixels
from pixprompt.report import explain_adapter, explain_model, gradcam, open_adapter_runs, prompt_similarity

HERE = Path(__file__).parent
MODEL = "efficientnet-lite0"
MAPPED = {"output": "frequency"}
FLOWERS: dict[str, Any] = {"model": MODEL, "data": "csv:{runs}/flowers.csv", **MAPPED, "epochs": 3, "batch_size": 5}
VIT: dict[str, Any] = {
    "model": "timm:vit_tiny_patch16_224",
    "weights": "{assets}/weights/vit_tiny_patch16_224.safetensors",
    "data": "csv:{runs}/flowers.csv",
    "epochs": 3,
    "batch_size": 5,
}
RUNS: dict[str, dict[str, Any]] = {
    "frame": {"model": MODEL, "data": "digits", **MAPPED, "epochs": 6, "batch_size": 32},
    "shrunk": {**FLOWERS, "fit": "shrink", "blend": "over"},
    "patch": {**FLOWERS, "template": "patch", "size": 80, "blend": "over"},
    "full": {**FLOWERS, "template": "full"},
    "committee": {"model": "mobilenet-v2", "data": "digits", "budget": 1000, "views": "4"},
    "vpt-deep": {**VIT, "method": "vpt-deep", "tokens": 5},
    "sa2vp-deep": {**VIT, "method": "sa2vp-deep"},
}
TITLES = {
    "frame": "a frame, added",
    "shrunk": "a frame round the smaller image",
    "patch": "a patch laid over it",
    "full": "the whole canvas",
}


def learn(assets: Path, runs: Path) -> None:
    """Learns what is not there."""
    runs.mkdir(exist_ok=True)
    write_csv(assets / "data" / "flowers5", runs / "flowers.csv", train=10, test=5)
    for name, settings in RUNS.items():
        if not (runs / name / "result.json").exists():
            filled = {
                key: value.format(assets=assets, runs=runs) if isinstance(value, str) else value
                for key, value in settings.items()
            }
            print(name, flush=True)
            model = labels_only(assets) if name == "committee" else None
            train(TrainConfig(**filled), out=runs / name, model=model)


def labels_only(assets: Path) -> Model:
    """A MobileNetV2 that takes images of 112x112 and tells nothing but the likeliest label."""
    open_model = load_model("mobilenet-v2", weights=str(assets / "weights" / "mobilenet_v2.safetensors"))
    names = open_model.spec.labels or ()
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    @torch.no_grad()
    def classify(images: Tensor) -> list[str]:
        return [names[index] for index in open_model.net((images - mean) / std).argmax(1).tolist()]

    return as_model(classify, image_size=112, labels=names, takes="tensor", name="mobilenet-v2, labels only")


def shown(photo: Path, canvas: Canvas) -> Pixels:
    """Reads a photo as the model will see it, (H, W, 3)."""
    with Image.open(photo) as image:
        return canvas.make(image.convert("RGB"))


def to_images(pixels: Pixels) -> Tensor:
    """Makes one image (1, 3, H, W) of pixels (H, W, 3)."""
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def templates(runs: Path, photos: list[Path]) -> Figure:
    """Photos under each template, and under the views of a committee."""
    prompts = [(title, load_committee(runs / name / "prompt.png").pages[0]) for name, title in TITLES.items()]
    pages = load_committee(runs / "committee" / "prompt.png").pages
    prompts += [(f"a committee: view {number}", page) for number, page in enumerate(pages, 1)]
    plain = Canvas(prompts[0][1].canvas.size)
    rows = [
        [Cell(shown(photo, plain)), *(Cell(page.overlay(shown(photo, page.canvas))) for _, page in prompts)]
        for photo in photos
    ]
    return gallery_figure([Column("the photo"), *(Column(title) for title, _ in prompts)], rows)


def saliency(runs: Path, photos: list[Path]) -> Figure:
    """Where the classifier looks, and what it says, without and with the frame that was learned for digits."""
    model, page = load_model(MODEL), load_committee(runs / "frame" / "prompt.png").pages[0]
    labels = model.spec.labels or ()
    rows = []
    for photo in photos:
        plain = shown(photo, page.canvas)
        row = [Cell(plain)]
        for pixels in (plain, page.overlay(plain)):
            images = to_images(pixels)
            top = model(images).argmax(1)
            heat = gradcam(model.net, model, images, top).maps[0].numpy()
            row.append(Cell(heat_overlay(pixels, heat, smooth=True), labels[int(top)].split(",")[0]))
        rows.append(row)
    columns = [Column("the photo"), Column("where the model looks"), Column("under a frame learned for digits")]
    return gallery_figure(columns, rows, heat_key="Grad-CAM, share of the largest value")


def inside(runs: Path, photos: list[Path]) -> Figure:
    """Where a transformer looks: without an adapter, with VPT, and with SA2VP, whose prompts are a map."""
    adapter_runs = open_adapter_runs([runs / "vpt-deep", runs / "sa2vp-deep"], device="cpu")
    rows = []
    for photo in photos:
        plain = shown(photo, adapter_runs.canvas)
        images = to_images(plain)
        frozen = explain_model(adapter_runs.model, images)
        names = adapter_runs.model.spec.labels or ()
        row = [Cell(plain), looks(plain, frozen.maps, names[int(frozen.probabilities[0].argmax())].split(",")[0])]
        for adapter in adapter_runs.adapters.values():
            with torch.no_grad():
                label = adapter(images).argmax(1)
            maps = explain_adapter(adapter, images, label).maps
            row.append(looks(plain, maps, adapter_runs.classes[int(label)]))
        similar = prompt_similarity(adapter, images, maps)
        marks = (Mark(*map(int, similar.aligned[0]), similar.grids[1], WHITE),)
        token = Mark(*map(int, similar.tokens[0]), similar.grids[0], WHITE)
        row[0] = Cell(plain, marks=(token,))
        rows.append([*row, Cell(heat_pixels(similar.maps[0]), marks=marks)])
    columns = [
        "the photo, its most salient token",
        "frozen ViT",
        *adapter_runs.adapters,
        "SA2VP: prompts like that token",
    ]
    keys = {"heat_key": "Grad-CAM, share of the largest value", "map_key": "cosine similarity, each map for itself"}
    return gallery_figure([Column(title) for title in columns], rows, **keys)


def looks(pixels: Pixels, maps: np.ndarray | None, caption: str) -> Cell:
    """A photo under its saliency map."""
    return Cell(pixels if maps is None else heat_overlay(pixels, maps[0], smooth=True), caption)


def main() -> None:
    """Learns and draws."""
    assets, runs, *photos = map(Path, sys.argv[1:])
    learn(assets, runs)
    for name, draw in (("prompts", templates), ("saliency", saliency), ("inside", inside)):
        draw(runs, photos).savefig(HERE / f"{name}.jpg", dpi=80, pil_kwargs={"quality": 85})


if __name__ == "__main__":
    main()
