"""`moco_v3:vit_base`: the ViT-B/16 of MoCo v3, whose weights no library carries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ...core import ModelError
from ..torch_model import TorchModel
from ..weights import load_weights, read_weights
from .timm_ import wrap

__all__ = ["load"]

_ENCODER = "base_encoder."


def load(target: str, *, name: str, weights: Path | None = None, pretrained: bool = True) -> TorchModel:
    """Builds the backbone from a published checkpoint, of pre-training or of linear probing; it answers features.

    Args:
        target: vit_base.
        weights: vit-b-300ep.pth.tar, linear-vit-b-300ep.pth.tar, or the same tensors as .safetensors.
        pretrained: Whether there must be weights.

    Raises:
        ModelError: There are no weights, or they do not fit.

    Reference: arXiv 2104.02057.
    """
    import timm

    if weights is None and pretrained:
        raise ModelError(
            f"no library carries the weights of {name!r}: download vit-b-300ep.pth.tar of MoCo v3 "
            "(github.com/facebookresearch/moco-v3) and give it by --weights FILE."
        )
    # The same architecture and the same preprocessing as MAE's; none of its weights.
    net = timm.create_model(f"{target}_patch16_224.mae", pretrained=False)
    if weights is not None:
        load_weights(net, _backbone(read_weights(weights)), str(weights))
    return wrap(net, name)


def _backbone(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder without projector or classifier; a pre-training file also holds a momentum encoder, a predictor."""
    inside = {key.removeprefix(_ENCODER): value for key, value in tensors.items() if key.startswith(_ENCODER)}
    return {key: value for key, value in (inside or tensors).items() if not key.startswith("head.")}
