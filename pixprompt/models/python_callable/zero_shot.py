"""A callable that answers about labels that its caller names: `function(image, labels)`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cached_property

from torch import Tensor

from ...core import Access, Model, ModelError, ModelSpec

__all__ = ["ZeroShotCallable", "takes_labels"]

_LABELS = "labels"
_MOST = 1000
"""Labels at a time where the callable names no limit of its own: an attribute `max_labels`."""


def takes_labels(function: Callable[..., object]) -> bool:
    """Whether a callable has a parameter `labels` behind the one of the images."""
    try:
        return _LABELS in list(inspect.signature(function).parameters)[1:]
    except (TypeError, ValueError):  # built in C
        return False


class ZeroShotCallable:
    """A callable that is not queried before labels are named.

    Args:
        function: Takes images and labels.
        spec: Its labels are those of a query where the caller names none; None for none.
        make: Labels -> the model that answers about them.
    """

    access = Access.SCORES

    def __init__(
        self, function: Callable[..., object], spec: ModelSpec, make: Callable[[tuple[str, ...]], Model]
    ) -> None:
        self.function, self.spec, self._make = function, spec, make

    @property
    def max_labels(self) -> int:
        """Most labels of one query."""
        return int(getattr(self.function, "max_labels", _MOST))

    def with_labels(self, labels: Sequence[str]) -> Model:
        """Returns the model of these labels, one output for each; it costs a query with a grey image."""
        return self._make(tuple(labels))

    def __call__(self, images: Tensor, /) -> Tensor:
        """Answers images (N, 3, H, W) about its own labels.

        Raises:
            ModelError: It has none.
        """
        return self._own(images)

    @cached_property
    def _own(self) -> Model:
        if not self.spec.labels:
            raise ModelError(
                f"model {self.spec.name!r} answers about labels, and none are named: as_model(..., labels=), or an "
                "attribute `labels` of the callable. A training run names its classes."
            )
        return self.with_labels(self.spec.labels)
