"""`digits`: the handwritten digits that come inside scikit-learn, with nothing to download."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...image_set import Collection, from_arrays

__all__ = ["NUMBER_WORDS", "Digits"]

NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Digits:
    """The digits, white on black; they have no splits of their own.

    Reference: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository.
    """

    needs: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()

    def read(self, root: Path) -> Collection:
        """See `Layout`; the root does not matter."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        return Collection(NUMBER_WORDS[:10], {"train": from_arrays(pixels, digits.target, prefix="digits")})
