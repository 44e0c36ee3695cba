"""`timm:NAME`: any classifier of timm, in its own evaluation setting."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ...core import ModelError, ModelSpec, UnknownName
from ...registry import suggest
from ..hub import building, hugging_face
from ..torch_model import TorchModel
from ..weights import load_weights, num_rows, read_weights
from .torchvision_ import imagenet_labels

__all__ = ["labels_of", "load", "wrap"]

_ASPECTS = {"center": "crop", "squash": "squash", "border": "letterbox"}


def load(target: str, *, name: str, weights: Path | None = None, pretrained: bool = True) -> TorchModel:
    """Builds a timm model with its pretrained weights, or with those of a file.

    Args:
        target: A name that timm knows, with or without a pretrained tag.
        weights: A file to take the weights from; a head with another number of outputs is followed.
        pretrained: Whether weights are looked for where no file is given.

    Raises:
        ModelError: The weights cannot be had or do not fit.
        UnknownName: timm has no such model.
    """
    import timm

    architecture = target.split(".")[0]
    if ":" not in target and not timm.is_model(architecture):
        known = timm.list_models()
        raise UnknownName(f"timm has no model {target!r}.{suggest(architecture, known)} It knows {len(known)}.")
    remedy = "Give the weights by hand: --weights FILE."
    what = f"the weights of {name!r} (timm model {target!r})"
    if weights is None and not pretrained:
        with building(what, "Check the name."):
            return wrap(timm.create_model(target, pretrained=False), name)
    if weights is None:
        with hugging_face(what, remedy):
            return wrap(timm.create_model(target, pretrained=True), name)
    tensors = read_weights(weights)
    with building(what, "Check the name."):
        net = timm.create_model(target, pretrained=False)
        rows = num_rows(tensors, str(_config(net).get("classifier")))
        if rows not in (None, net.num_classes):
            net = timm.create_model(target, pretrained=False, num_classes=rows)
    load_weights(net, tensors, str(weights))
    return wrap(net, name)


def wrap(
    net: nn.Module,
    name: str,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    owned: bool = True,
) -> TorchModel:
    """Makes a model of a timm net, with the data configuration that timm resolves for it.

    Args:
        mean: Instead of timm's.
        std: Instead of timm's.
        owned: Whether the net is frozen for good; if not, during each call only.
    """
    from timm.data import config

    resolve: Any = config.resolve_model_data_config
    data = resolve(net)
    channels, height, width = data["input_size"]
    if channels != 3:
        raise ModelError(f"model {name!r} takes {channels} channels; images have 3.")
    # A net that was made for one image size knows it; its configuration may tell of the one it was trained at.
    height, width = getattr(getattr(net, "patch_embed", None), "img_size", None) or (height, width)
    # Without a classifier timm's nets answer with their pooled features.
    num_outputs = int(net.num_classes or net.num_features)  # type: ignore[arg-type]
    spec = ModelSpec(
        name=name,
        image_size=(height, width),
        num_outputs=num_outputs,
        labels=labels_of(num_outputs),
        resample=data["interpolation"],
        crop_pct=data["crop_pct"],
        aspect=_ASPECTS[data["crop_mode"]],
    )
    return TorchModel(net, spec, mean=mean or data["mean"], std=std or data["std"], owned=owned)


def labels_of(num_outputs: int) -> tuple[str, ...] | None:
    """Returns the names of the outputs of a net with so many, of ImageNet or a set like it; None where nobody says."""
    from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset

    if num_outputs == 1000:
        return imagenet_labels()
    subset = infer_imagenet_subset({"num_classes": num_outputs})
    if subset is None:
        return None
    return tuple(str(line).split(",")[0] for line in ImageNetInfo(subset).label_descriptions())


def _config(net: nn.Module) -> dict[str, Any]:
    config: Any = net.pretrained_cfg
    return dict(config)
