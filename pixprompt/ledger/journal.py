"""A model whose every query is in a budget and in a ledger, and which is never queried twice for the same answer."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core import Access, Model
from .budget import Budget
from .ledger import Ledger, Totals
from .querier import Canvases, Querier, open_vocabulary

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Journal", "keys_of"]


class Journal(Querier):
    """A model whose every query is in a budget and in a ledger; what is queried again is answered from there."""

    def __init__(self, model: Model, ledger: Ledger, budget: Budget) -> None:
        super().__init__(model)
        self.ledger = ledger
        self.budget = budget
        self._seen: set[int] = set()

    def __call__(self, images: Tensor, /) -> Tensor:
        """Answers images; see `query`."""
        return self.query(images)

    @property
    def access(self) -> Access:
        """Scores, whatever the wrapped model allows."""
        return Access.SCORES

    @property
    def remaining(self) -> int | None:
        """Queries that the budget still allows; None for no limit."""
        return self.budget.remaining

    @property
    def distinct(self) -> int:
        """Images answered in this session, each replicate of one once, from the ledger or not.

        Unlike `queries` and the budget, this grows in a resumed run as it did in the run that was stopped.
        """
        return len(self._seen)

    def _count_distinct(self, keys: Sequence[bytes], replicate: int) -> None:
        # The first 64 bits: a fraction of the memory, and two of a million images hardly ever have the same.
        self._seen.update(int.from_bytes(key[:8], "big") + replicate for key in keys)

    def totals(self) -> Totals:
        """Returns what was queried, over all sessions of the ledger."""
        return self.ledger.totals()

    def require(self, num_queries: int) -> None:
        """Makes sure that so many new images fit into the budget; see `Budget.require`."""
        self.budget.require(num_queries)

    @abstractmethod
    def query(self, images: Tensor, replicate: int = 0) -> Tensor:
        """Answers images; those that are new in this replicate are queried, each once, and paid for before.

        Args:
            images: (N, 3, H, W), multiples of 1/255 in [0, 1].
            replicate: A number of at least 0; another one queries the same images again.

        Returns:
            Outputs (N, S), float32, on the device of the images. Answers from before a vocabulary grew have zeros at
            their end.

        Raises:
            BudgetError: The new images do not fit into the budget; none was queried.
            ModelError: The model answered nonsense, or the ledger holds answers of another model.
            RangeError: Values are outside [0, 1] or no multiples of 1/255.
            ShapeError: The images have another size.
        """

    def close_vocabulary(self) -> None:
        """Closes the vocabulary of a model that has an open one, and remembers that; `num_outputs` is final then."""
        vocabulary = open_vocabulary(self.model)
        if vocabulary:
            vocabulary.close_vocabulary()

    def close(self) -> None:
        """Closes the ledger."""
        self.ledger.close()


def keys_of(identity: str, canvases: Canvases) -> list[bytes]:
    """Returns the key of each canvas (N, H, W, 3) that is sent to a model of that identity."""
    head = f"{identity}\n{canvases.shape[1]}x{canvases.shape[2]}\n".encode()
    return [hashlib.sha256(head + canvas.tobytes()).digest() for canvas in canvases]
