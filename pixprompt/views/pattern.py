"""The pixels of frames and patches: plain colours and simple patterns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..canvas import Pixels
from ..core import ConfigError
from ..registry import suggest

__all__ = ["PATTERNS", "Color", "Pattern"]

Color = tuple[int, int, int]
PATTERNS = ("plain", "stripes", "checkerboard", "noise")


@dataclass(frozen=True)
class Pattern:
    """A colour, or two colours in a simple pattern.

    Attributes:
        color: RGB, each 0..255.
        kind: A name of PATTERNS; "noise" takes either colour pixel by pixel.
        second: RGB of the other colour.
        period: Width of a stripe or of a square of the checkerboard, in pixels.
        seed: Of the noise.
    """

    color: Color = (0, 0, 0)
    kind: str = "plain"
    second: Color = (255, 255, 255)
    period: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in PATTERNS:
            raise ConfigError(
                f"unknown pattern {self.kind!r}.{suggest(self.kind, PATTERNS)} Known: {', '.join(PATTERNS)}."
            )
        for color in (self.color, self.second):
            if len(color) != 3 or not all(type(value) is int and 0 <= value <= 255 for value in color):
                raise ConfigError(f"a colour is three whole numbers 0..255, got {color!r}.")
        if type(self.period) is not int or self.period < 1:
            raise ConfigError(f"the period of a pattern is at least 1 pixel, got {self.period!r}.")
        if type(self.seed) is not int or self.seed < 0:
            raise ConfigError(f"the seed of a pattern is a whole number from 0 on, got {self.seed!r}.")

    def pixels(self, height: int, width: int) -> Pixels:
        """Returns the pattern, (height, width, 3) uint8."""
        rows, columns = np.mgrid[0:height, 0:width] // self.period
        if self.kind == "noise":
            other = np.random.default_rng(self.seed).integers(0, 2, (height, width)) == 1
        else:
            count = {"plain": 0 * rows, "stripes": columns, "checkerboard": rows + columns}[self.kind]
            other = count % 2 == 1
        return np.where(other[..., None], self.second, self.color).astype(np.uint8)

    def to_json(self) -> dict[str, Any]:
        """Returns the fields, those of a plain colour only where it is one."""
        if self.kind == "plain":
            return {"color": list(self.color)}
        values = {"color": list(self.color), "kind": self.kind, "second": list(self.second)}
        return values | ({"seed": self.seed} if self.kind == "noise" else {"period": self.period})

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Pattern:
        """Reads what `to_json` wrote.

        Raises:
            ConfigError: A field is unknown or out of range.
        """
        try:
            known: dict[str, Any] = dict(values)
            for name in {"color", "second"} & set(known):
                known[name] = tuple(known[name])
            return cls(**known)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"a pattern cannot be read from {values!r}: {error}.") from error
