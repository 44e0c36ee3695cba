"""What a segmentation run is made of: one frozen value, in JSON and on the command line alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..core import ConfigError
from ..files import read_json
from ..settings import Settings, option

__all__ = ["METHODS", "SegmentConfig", "run_config"]

METHODS = {
    "head": "the head alone, on the frozen backbone",
    "bias": "the head and the backbone's bias vectors (BitFit, arXiv 2106.10199)",
    "full": "the head and the whole backbone, on a copy of it",
    "vpt-shallow": "the head and prompt tokens before the first layer (arXiv 2203.12119)",
    "vpt-deep": "the head and prompt tokens before every layer (arXiv 2203.12119)",
}


@dataclass(frozen=True)
class SegmentConfig(Settings):
    """All settings of a run; the `help` of each field is that of the option of the same name.

    The recipe is SETR's (arXiv 2012.15840) where it says something: SGD, polynomial decay, a rate for the backbone's
    own tensors that is a tenth of the head's.

    Raises:
        ConfigError: A value is of the wrong type, or outside its choices or its range.
    """

    model: str = option(
        "", "Vision transformer: a short name, timm: or open_clip: and a name.", paths=("open_clip:local-dir:",)
    )
    weights: str | None = option(
        None, "Weights file of the model: .safetensors, or tensors saved by torch.", paths=("",)
    )
    data: str = option("", "Labelled images: ade20k:PATH, a folder laid out as ADE20K is.", paths=("ade20k:",))
    reduce_zero_label: bool = option(True, "Leave label 0 of the files out, which means 'none of the classes'.")
    method: str = option("vpt-deep", "What is learned.", tuple(METHODS))
    tokens: int = option(10, "Prompt tokens per layer of VPT.", low=0)
    channels: int = option(256, "Width of the SETR-PUP head.", low=1)
    auxiliary: bool = option(False, "Train SETR's three auxiliary heads, too; they are not saved.")
    crop: int | None = option(
        None, "Side of a crop in pixels, in whole patches; the model's own image size by default.", low=1
    )
    photometric: bool = option(False, "Vary brightness, contrast, saturation and hue of training crops.")
    lr: float = option(0.01, "Learning rate of the head.", low=0)
    inner_lr: float | None = option(
        None,
        "Learning rate of the prompts, or of the backbone's tensors; by default --lr for prompts, a tenth of it "
        "for tensors.",
        low=0,
    )
    momentum: float = option(0.9, "Momentum.", low=0, below=1)
    weight_decay: float = option(0.0, "Weight decay.", low=0)
    power: float = option(0.9, "Power of the decay of the learning rates, (1 - step / steps) ** power.", low=0)
    epochs: int = option(50, "Passes over the training images, a crop of each.", low=1)
    batch_size: int = option(8, "Crops per step.", low=1)
    val_images: int | None = option(
        None, "Training images set aside for selection; by default a tenth, at most 500.", low=1
    )
    multi_scale: bool = option(False, "Score the test images with several scales and mirrored, too.")
    seed: int = option(0, "Seed of the split, the crops and the first numbers.", low=0)
    device: str = option("auto", "Where the model runs: cpu, cuda, cuda:1, ...; auto takes a GPU where there is one.")
    precision: str = option(
        "auto",
        "Precision of training steps; auto takes bf16 where the device computes in it, and scores are always float32.",
        ("auto", "fp32", "bf16"),
    )
    workers: int = option(2, "Threads that read images.", low=1)


def run_config(folder: Path) -> SegmentConfig:
    """Reads the configuration of a run directory.

    Raises:
        ConfigError: It is none of a segmentation run.
    """
    path = folder / "config.json"
    try:
        return SegmentConfig.from_json(read_json(path), source=path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder} is no run of 'pixprompt segment train': {error}") from error
