"""That it learns: a small set by heart, a held-out part well, and nothing from wrong labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixprompt.segmentation import Confusion, load_segmentation, train
from pixprompt.segmentation.fitting import pixel_loss

from .toy import SIZE, toy_config, toy_model, toy_segmenter, write_set


def test_pixel_loss_is_the_mean_over_labelled_pixels() -> None:
    logits = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, 3, (2, 4, 5), generator=torch.Generator().manual_seed(1))
    labels[0, :3] = 255
    rows = logits.log_softmax(1).permute(0, 2, 3, 1)[labels != 255]
    expected = -rows[torch.arange(len(rows)), labels[labels != 255]].mean()
    assert torch.allclose(pixel_loss(logits, labels), expected)
    assert pixel_loss(logits, torch.full_like(labels, 255)) == 0


def memorised(folder: Path, method: str, inner_lr: float, *, broken: bool = False) -> float:
    """mIoU on the two images that are learned, each one crop."""
    images = load_segmentation(f"ade20k:{folder}", val_images=1).train
    read = [images.read(index) for index in range(2)]
    pixels = torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255 for image, _ in read])
    labels = torch.stack([torch.from_numpy(truth).long() for _, truth in read])
    segmenter = toy_segmenter(method, model=toy_model(patch_size=4), channels=32)
    groups = [{"params": segmenter.head.parameters()}, {"params": segmenter.inner.parameters(), "lr": inner_lr}]
    optimizer = torch.optim.Adam(groups, lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        torch.autograd.backward(pixel_loss(segmenter(pixels), labels.flip(0) if broken else labels))
        optimizer.step()
    confusion = Confusion.empty(5)
    for (_, truth), guesses in zip(read, segmenter(pixels).argmax(1), strict=True):
        confusion.add(torch.from_numpy(truth), guesses)
    return confusion.miou


@pytest.mark.slow
@pytest.mark.parametrize(("method", "inner_lr"), [("vpt-deep", 0.01), ("full", 0.0005)])
def test_a_tiny_set_is_learned_by_heart(method: str, inner_lr: float, tmp_path: Path) -> None:
    write_set(tmp_path / "set", train=5, test=1, size=SIZE[0])
    assert memorised(tmp_path / "set", method, inner_lr) > 0.8
    assert memorised(tmp_path / "set", method, inner_lr, broken=True) < 0.5  # negative control: each other's labels


def write_halves(folder: Path, part: str, count: int) -> None:
    """Images of two colours, parted at some column."""
    rng = np.random.default_rng(count)
    for kind in ("images", "annotations"):
        (folder / kind / part).mkdir(parents=True)
    for number in range(count):
        labels = np.where(np.arange(48) < rng.integers(16, 32), 1, 2).astype(np.uint8)[None].repeat(48, 0)
        colors = np.array([(0, 0, 0), (220, 190, 120), (60, 140, 80)])[labels] + rng.normal(0, 10, (48, 48, 3))
        Image.fromarray(colors.clip(0, 255).astype(np.uint8)).save(folder / "images" / part / f"{number}.jpg")
        Image.fromarray(labels).save(folder / "annotations" / part / f"{number}.png")


@pytest.mark.slow
def test_a_run_is_good_on_images_that_it_never_saw(tmp_path: Path) -> None:
    toy_config(tmp_path)  # for its weights
    write_halves(tmp_path / "halves", "training", 12)
    write_halves(tmp_path / "halves", "validation", 4)
    (tmp_path / "halves/objectInfo150.txt").write_text("Idx\tName\n1\tsand\n2\tgrass\n")
    config = toy_config(tmp_path, data=f"ade20k:{tmp_path / 'halves'}", epochs=20, lr=0.1)
    result = train(config, out=tmp_path / "run")
    assert result["test"]["single_scale"]["miou"] > 0.8
    assert result["best"]["val_miou"] > 0.8
