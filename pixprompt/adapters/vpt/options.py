"""The settings of VPT on a ViT, checked."""

from __future__ import annotations

from dataclasses import dataclass

from ...core import ConfigError, RangeError

__all__ = ["ENDS", "LOCATIONS", "POOLS", "VPTOptions"]

LOCATIONS = ("prepend", "add", "add-one", "prepend-pixel", "concat-channel")
POOLS = ("cls", "image", "image-and-prompt", "prompt")
ENDS = ("bottom", "top")

_PER_LAYER = ("prepend", "add", "add-one")
_COUNTED = ("prepend", "prepend-pixel", "concat-channel")


@dataclass(frozen=True)
class VPTOptions:
    """The paper's design choices for a ViT.

    Attributes:
        location: Of LOCATIONS. "prepend": p tokens beside CLS and patches. "add": one vector for each token, added.
            "add-one": one vector, added to all tokens. "prepend-pixel": a strip of p learned patches in front of the
            image, through the patch convolution, without position. "concat-channel": p learned channels beneath the
            image, with a learned patch convolution of their own.
        tokens: p; None for "add" and "add-one", which leave no choice. "prepend" with 0 is linear probing.
        depth: Layers with prompts of their own: 1 is VPT-shallow, all is VPT-deep.
        depth_from: Of ENDS: the end of the backbone from which these layers are counted.
        shared: The same prompts at all these layers.
        projection: Width of the prompts before a learned linear layer; None for D, without one.
        dropout: Share of the prompts' values that is dropped in training, at every insertion, in [0, 1).
        pool: Of POOLS: CLS, or the mean of patch tokens, of both, of prompt tokens.

    Raises:
        ConfigError: A combination makes no sense, or an option would do nothing.
        RangeError: A number lies outside its range.

    Reference: arXiv 2203.12119, sections 3.2 and 4.3.
    """

    location: str = "prepend"
    tokens: int | None = 10
    depth: int = 1
    depth_from: str = "bottom"
    shared: bool = False
    projection: int | None = None
    dropout: float = 0.0
    pool: str = "cls"

    def __post_init__(self) -> None:
        for name, choices in (("location", LOCATIONS), ("pool", POOLS), ("depth_from", ENDS)):
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}.")
        if self.depth < 1:
            raise RangeError(f"depth must be 1 layer or more, got {self.depth}.")
        if self.projection is not None and self.projection < 1:
            raise RangeError(f"projection must be 1 or more, got {self.projection}.")
        if not 0 <= self.dropout < 1:
            raise RangeError(f"dropout must lie in [0, 1), got {self.dropout}.")
        self._check_tokens()
        self._check_layers()

    def _check_tokens(self) -> None:
        if self.location not in _COUNTED:
            if self.tokens is not None:
                raise ConfigError(f"location {self.location!r} has no number of tokens to choose; leave out --tokens.")
        elif self.tokens is None or self.tokens < (0 if self.location == "prepend" else 1):
            least = "0 or more" if self.location == "prepend" else "1 or more"
            raise RangeError(f"location {self.location!r} needs {least} tokens, got {self.tokens}.")
        prompted = self.location in ("prepend", "prepend-pixel") and self.tokens
        if self.pool in ("prompt", "image-and-prompt") and not prompted:
            raise ConfigError(f"pool {self.pool!r} needs prompt tokens in the sequence; prepend one or more.")

    def _check_layers(self) -> None:
        if self.shared and self.depth == 1:
            raise ConfigError("prompts at one layer have nothing to share; give a depth, or leave out shared.")
        if self.location in _PER_LAYER:
            return
        for name, is_set in (
            ("depth", self.depth != 1),
            ("depth_from", self.depth_from != "bottom"),
            ("projection", self.projection is not None),
        ):
            if is_set:
                raise ConfigError(
                    f"location {self.location!r} enters before the first layer, where {name} has no meaning; "
                    "leave it out, or choose location 'prepend'."
                )
