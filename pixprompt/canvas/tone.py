"""The tone curve of a view: one table of 256 values, the same for red, green and blue."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from ..core import ConfigError

__all__ = ["Tone"]

_GAMMA = (0.1, 10.0)
_CONTRAST = (0.05, 20.0)


@dataclass(frozen=True)
class Tone:
    """A tone curve, `c * (x ** gamma - 0.5) + 0.5` of a pixel value x in [0, 1], clamped, then perhaps inverted.

    Attributes:
        gamma: 0.1 to 10; below 1 brightens.
        contrast: c, 0.05 to 20; less would leave no image.
        invert: Whether black and white change places.
    """

    gamma: float = 1.0
    contrast: float = 1.0
    invert: bool = False

    def __post_init__(self) -> None:
        for name, value, (least, most) in (("gamma", self.gamma, _GAMMA), ("contrast", self.contrast, _CONTRAST)):
            if type(value) not in (int, float) or not least <= value <= most:
                raise ConfigError(f"the {name} of a tone curve must lie in {least:g} to {most:g}, got {value!r}.")
        if type(self.invert) is not bool:
            raise ConfigError(f"invert must be true or false, got {self.invert!r}.")

    @property
    def is_plain(self) -> bool:
        """Whether it changes nothing."""
        return self == Tone()

    @cached_property
    def table(self) -> list[int]:
        """The curve, 256 values of 0..255."""
        curve = self.contrast * ((np.arange(256) / 255.0) ** self.gamma - 0.5) + 0.5
        # The last bits of a power differ between machines; they must not decide how a value is rounded.
        values = np.floor(np.round(curve.clip(0.0, 1.0) * 255.0, 6) + 0.5).astype(int)
        return [int(value) for value in (255 - values if self.invert else values)]

    def apply(self, image: Image.Image) -> Image.Image:
        """Returns an RGB image under the curve; the same object where the curve changes nothing."""
        return image if self.is_plain else image.point(3 * self.table)

    def to_json(self) -> dict[str, Any]:
        """Returns what differs from the plain curve."""
        return {name: value for name, value in asdict(self).items() if value != getattr(Tone(), name)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Tone:
        """Reads what `to_json` wrote.

        Raises:
            ConfigError: A field is unknown or out of range.
        """
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ConfigError(f"a tone curve has no {', '.join(sorted(unknown))}.")
        return cls(**values)
