"""The data sets that have a short name."""

from __future__ import annotations

from collections.abc import Callable

from ..registry import Registry
from .image_set import Collection

__all__ = ["DATASETS"]

DATASETS: Registry[Callable[[], Collection]] = Registry("data set")
