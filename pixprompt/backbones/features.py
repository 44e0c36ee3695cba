"""What a model's own classifier reads: features of any net of timm, torchvision or open_clip."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from ..core import ConfigError
from ..models import DualEncoder, TorchModel
from .origin import comes_from
from .vit import ViT

__all__ = ["FeatureNet", "features", "replaced"]

_Run = Callable[[Tensor], Tensor]
_Parts = tuple[nn.Module, _Run, Sequence[nn.Parameter]]


class FeatureNet(nn.Module):
    """Images (N, 3, H, W) in [0, 1] -> features (N, D), through the model's own modules, without its classifier.

    What the features are: of a vision transformer that `ViT` opens, CLS after the final norm, before a CLIP's
    projection, where CLIP itself is probed; of another timm net, what its classifier sees; of torchvision, what enters
    the last layer; of another CLIP tower, what enters its projection, or its embedding before normalisation where
    pooling and projection are one.

    A module so that `torch.func.functional_call` can run it with other weights. It shares all of them with the model
    and adds none.

    Args:
        model: Never changed.

    Raises:
        ConfigError: The model comes from another library.

    Reference: arXiv 2103.00020, appendix A.
    """

    def __init__(self, model: TorchModel) -> None:
        super().__init__()
        self._model = (model,)
        self.net, self._run, skipped = _parts_of(model)
        self._skipped = {id(parameter) for parameter in skipped}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)(copy.deepcopy(self._model[0], memo))

    def weights(self) -> dict[str, nn.Parameter]:
        """Returns the model's parameters on the way to the features, by name, from the input to the output."""
        return {name: value for name, value in self.named_parameters() if id(value) not in self._skipped}

    def forward(self, images: Tensor) -> Tensor:
        """Returns features (N, D)."""
        features: object = self._run(images)
        if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(images):
            what = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            name = self._model[0].spec.name
            raise ConfigError(f"{name} has no features ({len(images)}, D) before its classifier, but {what}.")
        return features

    @torch.no_grad()
    def width(self) -> int:
        """Returns D, by running one black image."""
        model = self._model[0]
        with model.held():
            return int(self(torch.zeros(1, 3, *model.spec.image_size, device=model.mean.device)).shape[1])


def features(model: TorchModel, images: Tensor) -> Tensor:
    """Returns what the model's own classifier reads; see `FeatureNet` for what that is.

    Args:
        model: Never changed.
        images: (N, 3, H, W) in [0, 1].

    Returns:
        Features (N, D).

    Raises:
        ConfigError: The model comes from no library that is known here.
    """
    net = FeatureNet(model)
    with model.held():
        return cast(Tensor, net(images))


def _parts_of(model: TorchModel) -> _Parts:
    """Returns the net, how it makes features of images in [0, 1], and the parameters that have no part in that."""
    try:
        vit = ViT(model)
    except ConfigError:
        return _parts_of_other(model)
    projection = [value for name, value in vit.net.named_parameters() if name == "proj"]
    skipped = _timm_classifier(vit.net) if comes_from(vit.net, "timm") else projection
    return vit.net, lambda images: _cls(vit, images), skipped


def _cls(vit: ViT, images: Tensor) -> Tensor:
    tokens = vit.embed(images)
    for layer in vit.layers:
        tokens = layer(tokens)
    return cast(Tensor, vit.norm(tokens[:, 0]))


def _parts_of_other(model: TorchModel) -> _Parts:
    net: Any = model.net
    if isinstance(model, DualEncoder):
        net = _clip_tower(net.visual)
    skipped: Sequence[nn.Parameter] = ()
    is_timm = comes_from(net, "timm")
    if is_timm:
        skipped = _timm_classifier(net)
    elif comes_from(net, "torchvision"):
        net = _without_last_layer(net)
    elif not isinstance(model, DualEncoder):
        raise ConfigError(
            f"{model.spec.name} is {type(net).__name__}; expected a net of timm, torchvision or open_clip, since only "
            "there it is known where the classifier begins. Load the model by such a name."
        )

    def run(images: Tensor) -> Tensor:
        values = model.prepare(images)
        features = net.forward_head(net.forward_features(values), pre_logits=True) if is_timm else net(values)
        # CoCa's towers return their tokens too.
        return cast(Tensor, features[0] if isinstance(features, tuple) else features)

    return net, run, skipped


def _clip_tower(visual: Any) -> nn.Module:
    from open_clip.timm_model import TimmModel

    # Attention pooling sits behind the trunk, and projects.
    pooled_by_trunk = isinstance(visual, TimmModel) and "pool" not in dict(visual.head.named_children())
    return visual.trunk if pooled_by_trunk else visual  # type: ignore[no-any-return]


def _timm_classifier(net: Any) -> Sequence[nn.Parameter]:
    classifier = net.get_classifier()  # of distilled nets a pair
    return list(nn.ModuleList(classifier if isinstance(classifier, tuple) else (classifier,)).parameters())


def _without_last_layer(net: nn.Module) -> nn.Module:
    """Returns a shallow copy whose last layer is the identity; every other module and parameter is the net's own."""
    last = [module for module in net.modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]
    return replaced(net, last, nn.Identity())


def replaced(net: nn.Module, old: nn.Module, new: nn.Module) -> nn.Module:
    """Returns a shallow copy with another module in place of one of its own; everything else is the net's own."""
    if net is old:
        return new
    if all(module is not old for module in net.modules()):
        return net
    shell = copy.copy(net)
    shell.training = False
    shell._modules = {name: child and replaced(child, old, new) for name, child in net._modules.items()}
    return shell
