"""What prompts look like: learns a few on handwritten digits, and draws them on photos.

python experiments/gallery/draw.py RUNS PHOTOS VIT

RUNS is a folder for the runs; what is in it is not learned again. PHOTOS holds photos that may be shown: scikit-image
brings them in its folder `skimage/data`. VIT is a weights file of timm's vit_tiny_patch16_224.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pixprompt import TrainConfig, load_committee, train
from pixprompt.canvas import Canvas
from pixprompt.models import load_model
from pixprompt.plots import Pixels, heat_overlay
from pixprompt.plots.gallery import Cell, Column, gallery_figure
from pixprompt.report.figures.draw import PictureOptions, draw_pictures
from pixprompt.report.saliency.gradcam import gradcam

HERE = Path(__file__).parent
MODEL = "efficientnet-lite0"
PHOTOS = {"chelsea.png": "Chelsea", "coffee.png": "coffee", "rocket.jpg": "rocket"}
"""By Stefan van der Walt and Rachel Michetti (CC0), and by SpaceX (public domain)."""
FEW: dict[str, Any] = {"model": MODEL, "data": "digits", "shots": 20, "epochs": 3}
VIT: dict[str, Any] = {"model": "timm:vit_tiny_patch16_224", "data": "digits", "shots": 10, "epochs": 3}
RUNS: dict[str, dict[str, Any]] = {
    "frame": {"model": MODEL, "data": "digits"},
    "shrunk": {**FEW, "fit": "shrink", "blend": "over"},
    "patch": {**FEW, "template": "patch", "size": 80, "blend": "over"},
    "full": {**FEW, "template": "full"},
    "committee": {"model": MODEL, "data": "digits", "budget": 800, "views": "3", "shots": 20},
    "vpt-deep": {**VIT, "method": "vpt-deep", "tokens": 5},
    "sa2vp-deep": {**VIT, "method": "sa2vp-deep"},
}
TITLES = {
    "frame": "a frame, added",
    "shrunk": "a frame round the smaller image",
    "patch": "a patch laid over it",
    "full": "the whole canvas",
}


def learn(runs: Path, vit: Path) -> None:
    """Learns what is not there."""
    for name, settings in RUNS.items():
        if not (runs / name / "result.json").exists():
            more = {"weights": str(vit)} if settings["model"].startswith("timm:") else {}
            train(TrainConfig(**settings, **more), out=runs / name)


def canvas_of(photo: Path, canvas: Canvas) -> Pixels:
    """Reads a photo as the model will see it, (H, W, 3)."""
    with Image.open(photo) as image:
        return canvas(image.convert("RGB"))


def templates(runs: Path, photos: Path) -> None:
    """Photos under each template and under the views of a committee."""
    prompts = [(TITLES[name], load_committee(runs / name / "prompt.png").pages[0]) for name in TITLES]
    pages = load_committee(runs / "committee" / "prompt.png").pages
    prompts += [(f"view {number} of a committee", page) for number, page in enumerate(pages, 1)]
    plain = Canvas(prompts[0][1].canvas.size)
    rows = []
    for photo in PHOTOS:
        shown = [canvas_of(photos / photo, plain)]
        shown += [page.overlay(canvas_of(photos / photo, page.canvas)[None])[0] for _, page in prompts]
        rows.append([Cell(pixels) for pixels in shown])
    columns = [Column("the photo"), *(Column(title) for title, _ in prompts)]
    save(gallery_figure(columns, rows), HERE / "prompts.jpg")


def saliency(runs: Path, photos: Path) -> None:
    """Where the classifier looks, and what it says, without and with the frame."""
    model, page = load_model(MODEL), load_committee(runs / "frame" / "prompt.png").pages[0]
    labels = model.spec.labels or ()
    rows = []
    for photo in PHOTOS:
        plain = canvas_of(photos / photo, page.canvas)
        row = [Cell(plain)]
        for pixels in (plain, page.overlay(plain[None])[0]):
            images = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
            top = model(images).argmax(1)
            heat = gradcam(model.net, model, images, top).maps[0].numpy()
            row.append(Cell(heat_overlay(pixels, heat, smooth=True), labels[int(top)].split(",")[0]))
        rows.append(row)
    columns = [Column("the photo"), Column("where the model looks"), Column("under the frame learned for digits")]
    save(gallery_figure(columns, rows, heat_key="Grad-CAM, share of the largest value"), HERE / "saliency.jpg")


def inside(runs: Path, scratch: Path) -> None:
    """The tool's own pictures of two methods inside a transformer."""
    draw_pictures([runs / "vpt-deep", runs / "sa2vp-deep"], out=scratch, options=PictureOptions(images=3, points=200))
    for name in ("gradcam", "similarity"):
        with Image.open(scratch / f"{name}.png") as image:
            image.convert("RGB").save(HERE / f"{name}.jpg", quality=85)


def save(figure: Any, path: Path) -> None:
    """Writes a JPEG of a few tens of kilobytes."""
    figure.savefig(path, dpi=80, pil_kwargs={"quality": 85})


if __name__ == "__main__":
    folder, pictures, weights = map(Path, sys.argv[1:])
    np.seterr(all="raise")
    learn(folder, weights)
    templates(folder, pictures)
    saliency(folder, pictures)
    inside(folder, folder / "pictures")
