"""The journal of a model in this process: what it answered is in the ledger before it is used."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor

from ..core import Model, ModelError, PixpromptError, RangeError
from ..tensor_checks import check_images, check_outputs, to_pixels
from .budget import Budget
from .journal import Journal, keys_of
from .ledger import Answers, Ledger
from .querier import open_vocabulary, probe_queries

__all__ = ["LocalJournal"]

_VOCABULARY = "vocabulary"


class LocalJournal(Journal):
    """Queries a model only about what the ledger does not hold, within a budget, and writes every query down.

    The intent is written before a call and the answer after it, so a killed process loses no answer that it returned,
    and what it may have paid for is counted. What is sent holds the exact multiples of 1/255 that the key was made of.
    Answers come without gradients. On opening, all images of the ledger count as spent, those in doubt included, and
    those that the model was queried about while it was built, in each session again.

    Args:
        ledger: Where queries are written; None keeps them in memory.
        budget: Budget of this run; what the ledger holds is added to its `spent`.
        identity: What, besides its name, tells this model from others, such as a digest of its weights.
        max_batch: The most images per request; None for no limit.

    Raises:
        ModelError: The ledger holds the labels of another model.
        RangeError: `max_batch` is below 1.
    """

    def __init__(
        self,
        model: Model,
        ledger: Ledger | None,
        budget: Budget,
        *,
        identity: str = "",
        max_batch: int | None = None,
    ) -> None:
        if max_batch is not None and max_batch < 1:
            raise RangeError(f"max_batch must be at least 1, got {max_batch}.")
        super().__init__(model, Ledger(None) if ledger is None else ledger, budget)
        self.max_batch = max_batch
        self._identity = f"{model.spec.name}\n{identity}"
        self._restore()

    @torch.no_grad()
    def query(self, images: Tensor, replicate: int = 0) -> Tensor:
        """Answers images; see `Journal.query`."""
        check_images(images, self.spec.image_size)
        pixels = to_pixels(images)
        keys = self._keys(pixels)
        rows = dict(zip(keys, self.ledger.find(keys, replicate), strict=True))
        first = {key: index for index, key in reversed(list(enumerate(keys))) if rows[key] is None}
        new = sorted(first.values())
        self.budget.require(len(new))
        self.ledger.count_hits(len(keys) - len(new))
        size = self.max_batch or max(1, len(new))
        for start in range(0, len(new), size):
            part = new[start : start + size]
            batch = pixels[part].to(images.device).float() / 255
            for index, row in zip(part, self._queried(batch, [keys[i] for i in part], replicate), strict=True):
                rows[keys[index]] = row
        self._count_distinct(keys, replicate)
        return self._rows([rows[key] for key in keys]).to(images.device)

    @property
    def identity(self) -> str:
        """What, besides the image, its answers depend on."""
        return self._identity

    def announce(self, num_queries: int, tell: Callable[[str], None], *, rate: float | None = None) -> None:
        """Says how many images an earlier session left in doubt; see `Querier.announce`."""
        doubtful = self.ledger.totals().images_in_doubt
        if doubtful:
            tell(f"{doubtful} images were on their way when an earlier session ended; they count as queried.")

    def close_vocabulary(self) -> None:
        """Closes the vocabulary, and remembers that; see `Journal.close_vocabulary`."""
        super().close_vocabulary()
        self._written = self._vocabulary()
        if self._written:
            self.ledger.write_meta(**{_VOCABULARY: self._written})

    def _restore(self) -> None:
        self.ledger.charge(probe_queries(self.model))
        self.budget.charge(self.queries)
        self._written = self.ledger.read_meta(_VOCABULARY) or ""
        if not self._written:
            return
        vocabulary = open_vocabulary(self.model)
        if vocabulary is None:
            raise ModelError(
                f"the ledger holds the labels of another model than {self.spec.name!r}, which has none of its own. "
                "Use the model that the run was started with."
            )
        values = json.loads(self._written)
        vocabulary.restore(values["labels"], values["closed"])

    def _keys(self, pixels: Tensor) -> list[bytes]:
        return keys_of(self._identity, pixels.permute(0, 2, 3, 1).contiguous().numpy())

    def _queried(self, images: Tensor, keys: Sequence[bytes], replicate: int) -> Answers:
        """Makes one request, paid and written down before, and returns its answers (n, S), written down after."""
        self.budget.reserve(len(keys))
        request = self.ledger.intend(keys, replicate)
        try:
            answer = self.model(images)
            outputs = check_outputs(answer, len(keys), self.spec.num_outputs, self.spec.name).cpu().numpy()
        except Exception as error:
            with suppress(PixpromptError):  # the request is then in doubt, and the error of the model is the news
                self.ledger.fail(request, f"{type(error).__name__}: {error}")
            raise
        # In one transaction with the answers: they cannot be read without the names of their outputs.
        labels = self._vocabulary()
        self.ledger.answer(request, outputs, **({_VOCABULARY: labels} if labels != self._written else {}))
        self._written = labels
        return outputs

    def _vocabulary(self) -> str:
        """Returns the labels of the model as the ledger holds them; nothing where outputs have no names."""
        vocabulary = open_vocabulary(self.model)
        if vocabulary is None or not vocabulary.vocabulary:
            return ""
        values = {"labels": list(vocabulary.vocabulary), "closed": not vocabulary.open}
        return json.dumps(values, ensure_ascii=False)

    def _rows(self, rows: Sequence[Answers | None]) -> Tensor:
        outputs = np.zeros((len(rows), self.spec.num_outputs), dtype=np.float32)
        for index, row in enumerate(rows):
            if row is None or len(row) > outputs.shape[1]:
                raise ModelError(
                    f"the ledger holds an answer of {0 if row is None else len(row)} outputs, but {self.spec.name!r} "
                    f"has {outputs.shape[1]}. Use the model that the run was started with."
                )
            outputs[index, : len(row)] = row
        return torch.from_numpy(outputs)
