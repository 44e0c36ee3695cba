"""`digits`: the handwritten digits that come inside scikit-learn, with nothing to download."""

from __future__ import annotations

import numpy as np

from ..image_set import Collection, from_arrays
from ..registry import DATASETS

__all__ = ["NUMBER_WORDS", "read_digits"]

NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@DATASETS.register("digits", "1,797 handwritten digits of 8x8 pixels, 10 classes; inside scikit-learn")
def read_digits() -> Collection:
    """Reads the digits, white on black; they have no splits of their own.

    Reference: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return Collection(NUMBER_WORDS[:10], {"train": from_arrays(pixels, digits.target, prefix="digits")})
