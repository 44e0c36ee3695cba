"""For adapters whose answers are the target logits already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core import ShapeError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Direct"]


@dataclass(frozen=True)
class Direct:
    """Logits (N, K) -> the same logits; learns nothing, since the adapter's head does."""

    classes: tuple[str, ...]
    kind = "head"
    fits = False
    refits_in_training = False

    def to(self, device: str, /) -> Direct:
        """Returns itself: it holds no tensors."""
        return self

    def to_json(self) -> dict[str, Any]:
        """Returns {"kind", "classes"}."""
        return {"kind": self.kind, "classes": list(self.classes)}

    def refit(self, outputs: Tensor, labels: Tensor) -> Direct:
        """Returns itself."""
        return self

    def __call__(self, outputs: Tensor, /) -> Tensor:
        """Returns the logits.

        Raises:
            ShapeError: They are not one per class.
        """
        if outputs.ndim != 2 or outputs.shape[1] != len(self.classes):
            raise ShapeError(f"expected logits (N, {len(self.classes)}), got {tuple(outputs.shape)}.")
        return outputs
