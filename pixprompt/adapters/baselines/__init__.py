"""The baselines of the VPT and SA²VP papers: other ways to adapt a model whose inside can be reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Generator, nn

from ...core import ConfigError
from ...models import TorchModel
from ...registry import Registry
from ...seeds import seeded
from ..whitebox import WhiteBox, local_model
from .adaptformer import AdaptFormer
from .base import Baseline
from .bias import Bias
from .bottleneck import BottleneckAdapter
from .full import Full
from .lora import LoRA
from .partial import Partial
from .probes import LinearProbe, MLPProbe
from .side import SideTuning

__all__ = [
    "BASELINES",
    "AdaptFormer",
    "Baseline",
    "Bias",
    "BottleneckAdapter",
    "Full",
    "LinearProbe",
    "LoRA",
    "MLPProbe",
    "Partial",
    "SideTuning",
    "make_baseline",
]

BASELINES: Registry[type[Baseline]] = Registry("baseline")
BASELINES.register("linear", "a linear classifier on frozen features")(LinearProbe)
BASELINES.register("mlp", "a classifier with hidden layers on frozen features")(MLPProbe)
BASELINES.register("partial", "the last layers, tuned")(Partial)
BASELINES.register("full", "the whole backbone, tuned as a copy")(Full)
BASELINES.register("bias", "BitFit: the biases of the backbone, tuned (arXiv 2106.10199)")(Bias)
BASELINES.register("adapter", "a bottleneck after the MLP of each layer (arXiv 2005.00247)")(BottleneckAdapter)
BASELINES.register("side", "a small ConvNet of its own, blended into frozen features (arXiv 1912.13503)")(SideTuning)
BASELINES.register("lora", "low-rank additions to queries and values (arXiv 2106.09685)")(LoRA)
BASELINES.register("adaptformer", "a bottleneck beside the MLP of each layer (arXiv 2205.13535)")(AdaptFormer)


def make_baseline(
    name: str,
    model: TorchModel | nn.Module,
    classes: Sequence[str],
    *,
    layers: int | None = None,
    reduction: int | None = None,
    bottleneck: int | None = None,
    rank: int | None = None,
    generator: Generator | None = None,
) -> WhiteBox:
    """Builds a baseline by name; an option that is None has the method's own default.

    Args:
        name: Of `BASELINES`.
        model: The frozen model. A plain timm net is read by timm's own data configuration.
        classes: K target class names.
        layers: Of partial, tuned from the top; of mlp, hidden.
        reduction: Of adapter: the layer's width over the bottleneck's.
        bottleneck: Of adaptformer: the bottleneck's width.
        rank: Of lora.
        generator: Draws the first weights; by default one that is seeded with 0.

    Raises:
        ConfigError: An option is given to a method that has no such option, or lies outside its range; or the model
            is of the wrong family.
        UnknownName: There is no such baseline.
    """
    kind = BASELINES[name]
    values = {"layers": layers, "reduction": reduction, "bottleneck": bottleneck, "rank": rank}
    given: dict[str, Any] = {option: value for option, value in values.items() if value is not None}
    foreign = [option for option in given if option not in kind.options]
    if foreign:
        raise ConfigError(
            f"{name} has no option {foreign[0]!r}; it takes {', '.join(kind.options) or 'none'}. Leave it out."
        )
    make: Any = kind
    made: WhiteBox = make(local_model(model), tuple(classes), **given, generator=seeded(generator))
    made.recipe = (name, given)
    return made
