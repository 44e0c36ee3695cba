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

    model: str = option("", "vision transformer: a short name, timm: or open_clip:", paths=("open_clip:local-dir:",))
    weights: str | None = option(None, "weights file for the model (.safetensors, or a torch file)", paths=("",))
    data: str = option("", "labelled images: ade20k:PATH, a folder laid out as ADE20K is", paths=("ade20k:",))
    reduce_zero_label: bool = option(True, "label 0 of the files means 'none of the classes' and is left out")
    method: str = option("vpt-deep", "what is learned", tuple(METHODS))
    tokens: int = option(10, "of vpt: prompt tokens per layer", low=0)
    channels: int = option(256, "width of the SETR-PUP head", low=1)
    auxiliary: bool = option(False, "train SETR's three auxiliary heads, too; they are thrown away afterwards")
    crop: int | None = option(None, "side of a crop in pixels, in whole patches; the model's own image size", low=1)
    photometric: bool = option(False, "vary brightness, contrast, saturation and hue of training crops")
    lr: float = option(0.01, "learning rate of the head", low=0)
    inner_lr: float | None = option(
        None, "of the prompts, or of the backbone's tensors; --lr for prompts, a tenth of it for the others", low=0
    )
    momentum: float = option(0.9, "momentum", low=0, below=1)
    weight_decay: float = option(0.0, "weight decay", low=0)
    power: float = option(0.9, "of the decay of the learning rates, (1 - step / steps) ** power", low=0)
    epochs: int = option(50, "passes over the training images, a crop of each", low=1)
    batch_size: int = option(8, "crops per step", low=1)
    val_images: int | None = option(
        None, "training images kept for selection; a tenth, at most 500, of those that there are", low=1
    )
    multi_scale: bool = option(False, "score the test images with several scales and mirrored, too")
    seed: int = option(0, "of the split, the crops and the first numbers", low=0)
    device: str = option("auto", "cpu, cuda, cuda:1, ...; auto takes a GPU where there is one")
    precision: str = option(
        "auto",
        "of training steps; scores are always float32. auto: bf16 on GPUs that have it",
        ("auto", "fp32", "bf16"),
    )
    workers: int = option(2, "threads that read images", low=1)


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
