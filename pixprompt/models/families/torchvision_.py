"""`torchvision:NAME` and `torchvision:NAME/WEIGHTS`: any image classifier of torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from ...core import ModelError, ModelSpec, UnknownName
from ...registry import suggest
from ..hub import building, reachable
from ..torch_model import TorchModel
from ..weights import load_weights, num_rows, read_weights

__all__ = ["imagenet_labels", "load"]

_REMEDY = "Give the weights by hand: --weights FILE."
# What these two do on their own only when they download their weights.
_AS_PRETRAINED: dict[str, dict[str, bool]] = {
    "googlenet": {"transform_input": True, "init_weights": False},
    "inception_v3": {"transform_input": True, "init_weights": False},
}


def load(target: str, *, name: str, weights: Path | None = None, pretrained: bool = True) -> TorchModel:
    """Builds a torchvision classifier with its pretrained weights, or with those of a file.

    Args:
        target: A name that torchvision knows, `/` and a name of its weights if not the default ones.
        weights: A file to take the weights from; a head with another number of outputs is followed.
        pretrained: Whether weights are looked for where no file is given.

    Raises:
        ModelError: The weights cannot be had or do not fit.
        UnknownName: torchvision has no such classifier or no such weights.
    """
    from torchvision.models import get_model

    architecture, _, tag = target.partition("/")
    entry = _entry(architecture, tag)
    if weights is not None:
        net = _net_for(architecture, read_weights(weights), str(weights), name)
    elif pretrained:
        net = _pretrained(architecture, entry, name)
    else:
        with building(f"{name!r}", "Check the name."):
            net = get_model(architecture, weights=None, **_AS_PRETRAINED.get(architecture, {}))
    setting, labels = entry.transforms(), tuple(entry.meta["categories"])
    num_outputs = _head(net)[1]
    (crop,), (resize,) = setting.crop_size, setting.resize_size
    spec = ModelSpec(
        name=name,
        image_size=(crop, crop),
        num_outputs=num_outputs,
        labels=labels if len(labels) == num_outputs else None,
        resample=setting.interpolation.value,
        crop_pct=crop / resize,
    )
    return TorchModel(net, spec, mean=setting.mean, std=setting.std, owned=True)


def imagenet_labels() -> tuple[str, ...]:
    """Returns the 1000 class names of ImageNet-1k in the order of the classifiers' outputs."""
    from torchvision.models import ResNet50_Weights

    return tuple(ResNet50_Weights.DEFAULT.meta["categories"])


def _entry(architecture: str, tag: str) -> Any:
    from torchvision import models

    known = models.list_models(module=models)
    if architecture not in known:
        raise UnknownName(
            f"torchvision has no image classifier {architecture!r}.{suggest(architecture, known)} "
            f"It knows {len(known)}."
        )
    entries = models.get_model_weights(architecture)
    if not tag:
        return entries.DEFAULT
    if tag not in entries.__members__:
        raise UnknownName(
            f"torchvision has no weights {tag!r} for {architecture!r}.{suggest(tag, entries.__members__)} "
            f"Known: {', '.join(entries.__members__)}."
        )
    return entries[tag]


def _pretrained(architecture: str, entry: Any, name: str) -> nn.Module:
    from torchvision.models import get_model

    what = f"the weights of {name!r} (torchvision {entry}, {entry.url})"
    cached = Path(torch.hub.get_dir(), "checkpoints", Path(urlsplit(entry.url).path).name)
    if not cached.exists() and not reachable(entry.url):
        raise ModelError(
            f"cannot load {what}: the address cannot be reached, and {cached.parent} does not hold them. {_REMEDY}"
        )
    with building(what, _REMEDY):
        net: nn.Module = get_model(architecture, weights=entry, progress=False)
    return net


def _net_for(architecture: str, tensors: dict[str, Tensor], source: str, name: str) -> nn.Module:
    from torchvision.models import get_model

    options: dict[str, Any] = dict(_AS_PRETRAINED.get(architecture, {}))
    with building(f"{name!r}", "Check the name."):
        net: nn.Module = get_model(architecture, weights=None, **options)
        layer, num_outputs = _head(net)
        rows = num_rows(tensors, layer)
        if rows not in (None, num_outputs):
            net = get_model(architecture, weights=None, num_classes=rows, **options)
    load_weights(net, tensors, source)
    return net


def _head(net: nn.Module) -> tuple[str, int]:
    """Returns the name and the number of outputs of the last layer; torchvision's classifiers end with their head."""
    layers = [
        (name, layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)
        for name, layer in net.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    ]
    return layers[-1]
