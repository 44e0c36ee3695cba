"""Models that answer in words: their labels are in the ledger with the answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
import torch
from PIL.Image import Image
from torch import Tensor

from pixprompt.core import Access, AnswerKind, ModelError, ModelSpec
from pixprompt.ledger import LocalJournal
from pixprompt.ledger.budget import Budget
from pixprompt.ledger.ledger import Ledger
from pixprompt.ledger.querier import OpenVocabulary, Probed
from pixprompt.models import as_model

SIZE = (2, 3)


def images(*numbers: int) -> Tensor:
    """Images of one 8-bit value each: 13 for 1, 26 for 2, ..."""
    return torch.stack([torch.full((3, *SIZE), 13 * number / 255) for number in numbers])


class Naming:
    """An open vocabulary: the label of an image is its first pixel, and becomes an output when it is first seen."""

    access = Access.SCORES

    def __init__(self) -> None:
        self.vocabulary: tuple[str, ...] = ("(other)",)
        self.open = True
        self.num_queries = 0

    @property
    def spec(self) -> ModelSpec:
        return ModelSpec("naming", SIZE, len(self.vocabulary), AnswerKind.LABEL, self.vocabulary)

    def __call__(self, inputs: Tensor) -> Tensor:
        self.num_queries += len(inputs)
        labels = [str(round(float(image[0, 0, 0]) * 255)) for image in inputs]
        if self.open:
            self.vocabulary += tuple(dict.fromkeys(label for label in labels if label not in self.vocabulary))
        places = [self.vocabulary.index(label) if label in self.vocabulary else 0 for label in labels]
        return torch.eye(len(self.vocabulary))[places]

    def restore(self, labels: Sequence[str], closed: bool) -> None:
        self.vocabulary, self.open = tuple(labels), not closed

    def close_vocabulary(self) -> None:
        self.open = False

    def expect(self, classes: Iterable[str]) -> None:
        pass

    def assume(self, num_outputs: int, answer: AnswerKind) -> None:
        pass


class Silent:
    """A model without labels."""

    access = Access.SCORES
    spec = ModelSpec("silent", SIZE, 3)

    def __call__(self, inputs: Tensor) -> Tensor:
        return inputs.mean((2, 3))


def test_an_open_vocabulary_grows_is_restored_and_closed(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l") as ledger:
        journaled = LocalJournal(Naming(), ledger, Budget(None), max_batch=1)
        assert journaled(images(1, 2)).tolist() == [[0, 1, 0], [0, 0, 1]]  # asked one by one, of two lengths
    with Ledger(tmp_path / "l") as ledger:
        model = Naming()
        journaled = LocalJournal(model, ledger, Budget(None))
        assert (model.vocabulary, model.open, model.num_queries) == (("(other)", "13", "26"), True, 0)
        assert journaled(images(3, 1)).tolist() == [[0, 0, 0, 1], [0, 1, 0, 0]]
        journaled.close_vocabulary()
        assert journaled(images(4)).tolist() == [[1, 0, 0, 0]]
    with Ledger(tmp_path / "l") as ledger:
        model = Naming()
        journaled = LocalJournal(model, ledger, Budget(None))
        assert (model.vocabulary, model.open) == (("(other)", "13", "26", "39"), False)
        assert journaled(images(1, 2, 3, 4)).argmax(1).tolist() == [1, 2, 3, 0]
        assert model.num_queries == 0


def test_a_callable_that_answers_in_words(tmp_path: Path) -> None:
    """The package's own open vocabulary keeps the contract that `Naming` states."""

    def name(image: Image) -> str:
        return ("cat", "dog")[image.getpixel((0, 0))[0] % 2]

    answers = []
    for session in range(2):
        model = as_model(name, image_size=SIZE)
        assert isinstance(model, OpenVocabulary)
        assert isinstance(model, Probed)
        with Ledger(tmp_path / "l") as ledger:
            journaled = LocalJournal(model, ledger, Budget(model.probe_queries + 2))
            answers.append((journaled(images(2, 1)).tolist(), model.vocabulary))
            assert (journaled.budget.remaining, journaled.totals().cached) == (0, 2 * session)
    assert answers == [([[0, 1, 0], [0, 0, 1]], ("(other)", "cat", "dog"))] * 2


def test_the_labels_of_another_model_are_refused() -> None:
    with Ledger(None) as ledger:
        LocalJournal(Naming(), ledger, Budget(None))(images(1))
        with pytest.raises(ModelError, match="labels of another model than 'silent'"):
            LocalJournal(Silent(), ledger, Budget(None))
