"""Reading a committee's answers in two stages: its first view alone, and all views where that leaves doubt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from ..core import OutputTransform

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CascadeOutput", "SavedCascade", "SavedReader"]

Rows: TypeAlias = npt.NDArray[np.float32]


class SavedReader(Protocol):
    """The output transform of a prompt file, for answers in numpy."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The K target class names."""
        ...

    @property
    def kind(self) -> str:
        """What users type to get it."""
        ...

    def __call__(self, outputs: Rows, /) -> Rows:
        """Turns answers (N, V * S) into logits (N, K)."""
        ...

    def to_tensors(self, device: str, /) -> OutputTransform:
        """Returns the same transform for tensors on a device."""
        ...


Reader = TypeVar("Reader", SavedReader, OutputTransform)


@dataclass(frozen=True)
class _Cascade(ABC, Generic[Reader]):
    """The output transform of a committee that is queried in two stages.

    Attributes:
        first: Reads answers (N, S) under the first view.
        full: Reads answers (N, V * S) under all views.
        num_views: V.
        threshold: Least difference of the two largest probabilities that leaves no doubt.
    """

    first: Reader
    full: Reader
    num_views: int
    threshold: float

    @property
    def classes(self) -> tuple[str, ...]:
        """The K target class names."""
        return self.full.classes

    @property
    def kind(self) -> str:
        """Kind of the last stage."""
        return self.full.kind

    @abstractmethod
    def in_doubt(self, outputs: Any) -> Any:
        """Returns which images, (N,), must be queried under the other views, by answers (N, S) under the first one."""

    def __call__(self, outputs: Any) -> Any:
        """Turns outputs (N, V * S) into logits (N, K); of images without doubt only the first S are read."""
        own = outputs[:, : outputs.shape[1] // self.num_views]
        logits, in_doubt = self.first(own) + 0, self.in_doubt(own)  # a copy: some transforms return their input
        if bool(in_doubt.any()):
            logits[in_doubt] = self.full(outputs[in_doubt])
        return logits


class SavedCascade(_Cascade[SavedReader]):
    """How the answers of a prompt file are read in two stages, in numpy."""

    def in_doubt(self, outputs: Rows) -> npt.NDArray[np.bool_]:
        """See `CascadeOutput`; images without a first answer, rows of NaN, are not in doubt: nothing can be read."""
        logits = self.first(np.nan_to_num(outputs)).astype(np.float64)
        shares = np.exp(logits - logits.max(1, keepdims=True))
        top = np.sort(shares / shares.sum(1, keepdims=True), axis=1)[:, -2:]
        return np.asarray((top[:, -1] - top[:, 0] < self.threshold) & ~np.isnan(outputs).any(axis=1))

    def to_tensors(self, device: str) -> OutputTransform:
        """Returns the same transform for tensors on a device."""
        first, full = self.first.to_tensors(device), self.full.to_tensors(device)
        return CascadeOutput(first, full, self.num_views, self.threshold)


class CascadeOutput(_Cascade[OutputTransform]):
    """The same in torch."""

    fits = refits_in_training = False

    def in_doubt(self, outputs: Tensor) -> Tensor:
        """Returns which images, (N,), must be queried under the other views, by answers (N, S) under the first one."""
        top = self.first(outputs).softmax(1).topk(min(2, len(self.classes)), dim=1).values
        return top[:, 0] - top[:, -1] < self.threshold

    def to(self, device: str) -> CascadeOutput:
        """Returns the same transform with its tensors on a device."""
        return CascadeOutput(self.first.to(device), self.full.to(device), self.num_views, self.threshold)

    def refit(self, outputs: Tensor, labels: Tensor) -> CascadeOutput:
        """Returns itself."""
        return self

    def to_json(self) -> dict[str, Any]:
        """Returns what reads all answers; `cascade` holds the rest."""
        return self.full.to_json()
