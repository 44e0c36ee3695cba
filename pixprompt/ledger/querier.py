"""What queries a model: with or without a ledger, here or over a network. The one interface that runs know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from ..core import Access, AnswerKind, Model, ModelSpec
from ..replies.readers import Rows
from ..tensor_checks import to_images
from .ledger import Totals

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "Canvases",
    "OpenVocabulary",
    "Probed",
    "Querier",
    "Rows",
    "ZeroShot",
    "open_vocabulary",
    "probe_queries",
    "zero_shot",
]

Canvases = npt.NDArray[np.uint8]
"""Images as they are sent, (N, H, W, 3)."""


@runtime_checkable
class OpenVocabulary(Protocol):
    """A model that learns the names of its outputs from its answers: new ones come at the end until it is closed."""

    @property
    def open(self) -> bool:
        """Whether outputs may still be added."""
        ...

    @property
    def vocabulary(self) -> Sequence[str]:
        """The names of the outputs so far, in order."""
        ...

    def expect(self, classes: Iterable[str]) -> None:
        """Adds names that sentences may mention."""
        ...

    def assume(self, num_outputs: int, answer: AnswerKind) -> None:
        """Takes over what the answers were when a prompt was learned."""
        ...

    def restore(self, labels: Sequence[str], closed: bool) -> None:
        """Continues with the outputs of an earlier session."""
        ...

    def close_vocabulary(self) -> None:
        """Adds no further outputs."""
        ...


@runtime_checkable
class ZeroShot(Protocol):
    """A model that can be queried about labels that the caller names."""

    @property
    def max_labels(self) -> int:
        """Labels that it can be queried about at a time; 0 where its labels are its own."""
        ...

    def with_labels(self, labels: Sequence[str]) -> Model:
        """Returns the model that answers about these labels, one output for each, in their order."""
        ...


@runtime_checkable
class Probed(Protocol):
    """A model that was queried while it was built."""

    @property
    def probe_queries(self) -> int:
        """Images of those queries."""
        ...


def open_vocabulary(model: Model) -> OpenVocabulary | None:
    """Returns a model that learns the names of its outputs from its answers; None for one that knows them."""
    return model if isinstance(model, OpenVocabulary) else None


def zero_shot(model: Model) -> ZeroShot | None:
    """Returns a model that can be queried about labels of the caller's choice; None for one that has its own."""
    return model if isinstance(model, ZeroShot) and model.max_labels else None


def probe_queries(model: Model) -> int:
    """Returns how many images a model was queried about while it was built."""
    return model.probe_queries if isinstance(model, Probed) else 0


class Querier(ABC):
    """A model whose queries are counted, with or without a budget and a ledger.

    Attributes:
        chunk: Images per call that suit it best.
    """

    chunk: int = 32

    def __init__(self, model: Model) -> None:
        self.model = model

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def __call__(self, images: Tensor, /) -> Tensor:
        """Answers images (N, 3, H, W) in [0, 1] with outputs (N, S)."""

    @property
    def spec(self) -> ModelSpec:
        """Spec of the wrapped model; `num_outputs` grows while its vocabulary is open."""
        return self.model.spec

    @property
    def access(self) -> Access:
        """What the wrapped model allows."""
        return self.model.access

    @property
    def identity(self) -> str:
        """What, besides the image, its answers depend on."""
        return self.model.spec.name

    @abstractmethod
    def totals(self) -> Totals:
        """Returns what was queried, over all sessions of its ledger unless it counts its own session alone."""

    @property
    def queries(self) -> int:
        """Images queried so far; those of failed requests and in doubt included."""
        return self.totals().images

    @property
    def remaining(self) -> int | None:
        """Queries that it may still send; None for no limit."""
        return None

    @property
    def notes(self) -> list[str]:
        """What a person should know about images without an answer."""
        return []

    def new_queries(self, canvases: Iterable[Canvases]) -> int:
        """Returns how many images among batches (n, H, W, 3) it would have to pay for, each once."""
        return 0

    @abstractmethod
    def require(self, num_queries: int) -> None:
        """Makes sure that so many new images can be paid for.

        Raises:
            BudgetError: The images do not fit into its budget.
            LimitError: The requests that carry them do not.
        """

    @abstractmethod
    def announce(self, num_queries: int, tell: Callable[[str], None], *, rate: float | None = None) -> None:
        """Says who will be queried about how much, where that costs something.

        Args:
            num_queries: The most that it will be queried about.
            tell: Is given one line at a time, the last one after the first answer.
            rate: The most images per second.
        """

    def query(self, images: Tensor, replicate: int = 0) -> Tensor:
        """Answers images; where answers are remembered, another replicate queries the same images again."""
        return self(images)

    def query_each(self, images: Tensor) -> tuple[Tensor, dict[int, str]]:
        """Answers images; returns outputs (N, S), and which images were refused and why, whose rows are NaN."""
        return self(images), {}

    def query_pixels(self, canvases: Canvases, device: str = "cpu", *, replicate: int = 0) -> Rows:
        """Answers 8-bit images (N, H, W, 3) with outputs (N, S) float32, without gradients; see `query`.

        Args:
            replicate: Which query about the same images this is.
        """
        import torch

        with torch.no_grad():
            return self.query(to_images(canvases, device), replicate).float().cpu().numpy()

    def query_pixels_each(self, canvases: Canvases, device: str = "cpu") -> tuple[Rows, dict[int, str]]:
        """Answers 8-bit images (N, H, W, 3), without gradients; see `query_each`."""
        import torch

        with torch.no_grad():
            outputs, refused = self.query_each(to_images(canvases, device))
        return outputs.float().cpu().numpy(), refused

    @abstractmethod
    def close(self) -> None:
        """Closes its ledger; a second time does nothing."""
