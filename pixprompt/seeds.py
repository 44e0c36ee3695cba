"""Random streams: one seed in, independent generators out, none of them global."""

from __future__ import annotations

import hashlib

from torch import Generator

__all__ = ["seeded", "stream"]


def seeded(generator: Generator | None) -> Generator:
    """Returns the generator of a caller, or a new one with seed 0 where there is none."""
    return Generator().manual_seed(0) if generator is None else generator


def stream(seed: int, *names: str | int) -> Generator:
    """Returns a CPU generator that depends on the seed and on the names alone.

    A stream per epoch makes a resumed run draw what an uninterrupted one would have drawn, with no state to save.
    """
    digest = hashlib.sha256("/".join(map(str, (seed, *names))).encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
