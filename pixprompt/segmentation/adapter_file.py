"""`adapter.safetensors` of a segmentation run: prompts or tuned tensors, and the head; the backbone stays outside."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from ..adapters import AdapterFile
from ..backbones.origin import backbone_sha256
from ..core import PromptError
from ..engine.inputs.trust import check_trusted
from ..models import TorchModel, load_model
from .backbone import open_vit
from .segmenter import Design, Segmenter

__all__ = ["SavedSegmenter", "load_segmenter", "save_segmenter"]

_KIND = "segmentation"


@dataclass(frozen=True)
class SavedSegmenter:
    """A segmenter with what its file says about it.

    Attributes:
        segmenter: Ready to answer.
        classes: K names.
        reduce_zero_label: Whether class c is label c + 1 in files, since 0 means none.
        model: What to type to get its backbone.
    """

    segmenter: Segmenter
    classes: tuple[str, ...]
    reduce_zero_label: bool
    model: str


def save_segmenter(path: Path, saved: SavedSegmenter, *, backbone: str, weights: str | None) -> None:
    """Writes what was learned and what it needs to work again; auxiliary heads served training only and stay out.

    Args:
        backbone: `backbone_sha256` of the model that it was learned on.
        weights: The file of that model's weights, if there was one.
    """
    segmenter = saved.segmenter
    tensors = {name: value for name, value in segmenter.state_dict().items() if not name.startswith("auxiliary.")}
    values = {
        "model": saved.model,
        "weights": weights,
        "backbone_sha256": backbone,
        "classes": saved.classes,
        "reduce_zero_label": saved.reduce_zero_label,
        "design": asdict(replace(segmenter.design, auxiliary=False)),
    }
    AdapterFile(path, tensors, values, _KIND).write()


def load_segmenter(
    path: Path,
    *,
    model: str | None = None,
    weights: str | None = None,
    device: str = "cpu",
    net: TorchModel | None = None,
) -> SavedSegmenter:
    """Builds the segmenter of an adapter.safetensors on its backbone.

    Args:
        path: The file, or the run directory that holds it.
        model: Instead of the model that the file names.
        weights: Instead of the weights file that the file names.
        net: A model that is there already.

    Raises:
        PromptError: The file is missing, damaged or of another kind, or the backbone has other weights than the one
            that it was learned on.
    """
    path = path / "adapter.safetensors" if path.is_dir() else path
    file = AdapterFile.read(path, kind=_KIND)
    values = file.values
    if {"model", "weights", "backbone_sha256", "classes", "design", "reduce_zero_label"} - values.keys():
        raise PromptError(f"{path} is damaged: its description is not complete. Train it again.")
    name = model or str(values["model"])
    if net is None:
        own = weights or (values["weights"] if model is None else None)
        if model is None:
            check_trusted({"model": name}, path)
        net = open_vit(load_model(name, weights=own, device=device)).model
    digest = backbone_sha256(net, open_vit(net).parameters())
    if digest != values["backbone_sha256"]:
        raise PromptError(
            f"{path} was learned on {values['model']} whose weights have the digest {values['backbone_sha256'][:12]}; "
            f"{name} has {digest[:12]}. Its numbers mean nothing there: give that backbone with --model and --weights."
        )
    try:
        design = Design(**{**values["design"], "crop": tuple(values["design"]["crop"])})
        segmenter = Segmenter(net, design, generator=torch.Generator().manual_seed(0))
        segmenter.load_state_dict(file.tensors)
        classes = tuple(str(each) for each in values["classes"])
        return SavedSegmenter(segmenter.eval(), classes, bool(values["reduce_zero_label"]), str(values["model"]))
    except (KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise PromptError(f"{path} is damaged ({str(error).splitlines()[0]}). Train it again.") from error
