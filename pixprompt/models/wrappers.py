"""Wrapping a model, and being one."""

from __future__ import annotations

from torch import Tensor

from ..core import Access, AccessError, Model, ModelSpec
from .torch_model import TorchModel

__all__ = ["Counted"]


class Counted:
    """Counts what a model is asked; its answers, and their gradients, pass unchanged.

    Args:
        model: The model to ask.

    Attributes:
        images: Images asked so far, those of failed requests included.
        requests: Calls so far.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.images = 0
        self.requests = 0

    @property
    def spec(self) -> ModelSpec:
        """Of the wrapped model."""
        return self.model.spec

    @property
    def access(self) -> Access:
        """Of the wrapped model."""
        return self.model.access

    def __call__(self, images: Tensor, /) -> Tensor:
        """Asks the wrapped model, and counts."""
        self.images += len(images)
        self.requests += 1
        return self.model(images)

    def unclamped(self, images: Tensor) -> Tensor:
        """Asks about images that may leave [0, 1]; see `TorchModel.unclamped`.

        Raises:
            AccessError: The model has no inside to reach.
        """
        if not isinstance(self.model, TorchModel):
            raise AccessError(f"{self.spec.name} takes only images in [0, 1]; use --space pixel.")
        self.images += len(images)
        self.requests += 1
        return self.model.unclamped(images)
