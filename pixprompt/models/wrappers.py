"""A model that is queried directly, and counted."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..core import Model
from ..ledger.ledger import Totals
from ..ledger.querier import Querier
from .torch_model import TorchModel, local_net

__all__ = ["DirectQuerier", "images_per_call"]


def images_per_call(device: str) -> int:
    """Returns how many images a local model is best asked about at once: few leave an accelerator idle."""
    return 16 if torch.device(device).type == "cpu" else 64


class DirectQuerier(Querier):
    """Counts the queries of a model; its answers, and their gradients, pass unchanged.

    Attributes:
        num_images: Images queried so far, those of failed requests included.
    """

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.chunk = images_per_call(str(model.mean.device) if isinstance(model, TorchModel) else "cpu")
        self.num_images = self.num_requests = 0

    def __call__(self, images: Tensor, /) -> Tensor:
        """Queries the wrapped model, and counts."""
        self.count(len(images))
        return self.model(images)

    def count(self, num_images: int) -> None:
        """Counts a request that reached the model by another way, such as an adapter inside it."""
        self.num_images += num_images
        self.num_requests += 1

    def unclamped(self, images: Tensor) -> Tensor:
        """Answers images that may leave [0, 1]; see `TorchModel.unclamped`.

        Raises:
            AccessError: The model has no inside to reach.
        """
        net = local_net(self.model, "--space unclamped, which leaves [0, 1],")
        self.count(len(images))
        return net.unclamped(images)

    def require(self, num_queries: int) -> None:
        """Does nothing: a model that is queried directly costs nothing."""

    def announce(self, num_queries: int, tell: Callable[[str], None], *, rate: float | None = None) -> None:
        """Does nothing: such queries need no announcement."""

    def close(self) -> None:
        """Does nothing: there is no ledger."""

    def totals(self) -> Totals:
        """Returns what was queried since this was made."""
        return Totals(self.num_images, self.num_requests, 0, 0, 0, 0)
