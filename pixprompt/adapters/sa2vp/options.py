"""The settings of SA²VP, checked."""

from __future__ import annotations

from dataclasses import dataclass

from ...core import ConfigError, RangeError

__all__ = ["ACTIVATIONS", "NEW_MAPS", "SA2VPOptions", "prompt_layers"]

ACTIVATIONS = ("gelu", "relu")
NEW_MAPS = ("through-layer", "direct")
_THIRDS = 3


@dataclass(frozen=True)
class SA2VPOptions:
    """The paper's design choices.

    Attributes:
        deep: New prompt maps at a third and at two thirds of the layers, too; if not, one at the input alone.
        bottleneck: t, the width inside a prompt adapter; 0 leaves the adapters out.
        activation: Of the adapters, of ACTIVATIONS: the paper has ReLU, its public code GELU.
        rank: r, the width of the stored maps, from which a learned linear layer leads to D; 0 for D, without one.
        map_scale: By which the map is smaller than the image's, in height and in width.
        window: c, odd: a token attends to c x c tokens of the other pathway, around its own place; 0 for all of them,
            the paper's global variant.
        gamma: The weight of what one pathway adds to the other.
        balance: lambda, the share of the image pathway's loss; 1 leaves the prompt pathway without supervision.
        dropout: In training, of the map and of the adapters, in [0, 1).
        new_maps: Of NEW_MAPS: how a map of deep mode joins the prompts. "through-layer": it passes the frozen layer
            beside them and is scaled behind it, as in the public code. "direct": it is scaled and added as it is,
            which is equation 5.

    Raises:
        ConfigError: There is no such activation or way to join, or a window is even.
        RangeError: A number lies outside its range.

    Reference: arXiv 2312.10376, equations 2 to 6 and table 5; `rank` and `dropout` are those of its public code.
    """

    deep: bool = True
    bottleneck: int = 16
    activation: str = "gelu"
    rank: int = 16
    map_scale: int = 1
    window: int = 3
    gamma: float = 0.1
    balance: float = 0.8
    dropout: float = 0.1
    new_maps: str = "through-layer"

    def __post_init__(self) -> None:
        for name, choices in (("activation", ACTIVATIONS), ("new_maps", NEW_MAPS)):
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}.")
        for name, least in (("bottleneck", 0), ("rank", 0), ("map_scale", 1), ("window", 0), ("gamma", 0)):
            if not least <= getattr(self, name) < float("inf"):
                raise RangeError(f"{name} must be {least} or more, got {getattr(self, name)}.")
        if self.window and self.window % 2 == 0:
            raise ConfigError(f"a window has a middle: 1, 3, 5, ..., or 0 for the whole map; got {self.window}.")
        if not 0 < self.balance <= 1:
            raise RangeError(f"balance must lie in (0, 1], got {self.balance}.")
        if not 0 <= self.dropout < 1:
            raise RangeError(f"dropout must lie in [0, 1), got {self.dropout}.")


def prompt_layers(depth: int) -> tuple[int, ...]:
    """Returns the layers at which the prompts query the image: the first of each third, 0, 4 and 8 of 12.

    At all others, the last one among them, the image queries the prompts. Deep mode adds new maps at these layers.

    Raises:
        ConfigError: There is one layer only, so that one of the two would never query the other.

    Reference: arXiv 2312.10376, section 3 (inter-layer prompt fusion).
    """
    if depth < 2:
        raise ConfigError(f"two pathways that query each other need 2 layers or more, got {depth}.")
    return tuple(range(0, depth - 1, max(2, -(-depth // _THIRDS))))
