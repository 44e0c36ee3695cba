"""A callable that answers in a form of its own, as a model that answers in rows of numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from ...core import Access, AnswerKind, ModelError, ModelSpec, ShapeError
from ...replies.parse import Reply, one_reply, replies
from ...replies.readers import Reader
from ...tensor_checks import check_images
from .input_forms import hand_over

__all__ = ["CallableModel", "query_callable", "widened"]


class CallableModel:
    """A callable of any form as a model: images (N, 3, H, W) in [0, 1] -> rows (N, S), float32; scores only.

    What the numbers of a row are is said by `spec.answer`. Labels that are collected as answers arrive make the rows
    wider, at their end, until `close_vocabulary` is called; see `Vocabulary`.

    Args:
        function: Gets images in the form `takes`.
        spec: Its num_outputs, answer and labels are those of the reader.
        takes: One of INPUT_FORMS.
        prepare: Applied to the images that a taker of tensors gets.
        probe_queries: Images that were sent to infer all this.
    """

    def __init__(
        self,
        function: Callable[..., object],
        spec: ModelSpec,
        *,
        takes: str,
        reader: Reader,
        prepare: Callable[[Tensor], Tensor],
        probe_queries: int,
    ) -> None:
        self.function = function
        self.takes = takes
        self.probe_queries = probe_queries
        self._spec = spec
        self._reader = reader
        self._prepare = prepare

    @property
    def spec(self) -> ModelSpec:
        """What a caller must know; its labels and outputs grow while the vocabulary is open."""
        reader = self._reader
        return replace(self._spec, num_outputs=reader.num_outputs, answer=reader.answer, labels=reader.labels)

    @property
    def access(self) -> Access:
        """Always SCORES."""
        return Access.SCORES

    @property
    def open(self) -> bool:
        """Whether new labels are still added."""
        return self._reader.vocabulary is not None and self._reader.vocabulary.open

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The labels so far; none where the outputs have no names."""
        return self._reader.labels or ()

    def close_vocabulary(self) -> None:
        """Ends the growth of the vocabulary: labels that are new from now on count as "(other)"."""
        if self._reader.vocabulary is not None:
            self._reader.vocabulary.close()

    def expect(self, classes: Iterable[str]) -> None:
        """Adds names that sentences may mention to an open vocabulary of texts; otherwise does nothing."""
        if self._reader.vocabulary is not None and self._reader.answer is AnswerKind.LABEL:
            self._reader.vocabulary.expect(classes)

    def assume(self, num_outputs: int, answer: AnswerKind) -> None:
        """Does nothing: what the answers are was seen when it was probed."""

    def restore(self, labels: Sequence[str], closed: bool) -> None:
        """Takes over the labels of an earlier run, so that the indices mean the same again.

        Args:
            labels: What `vocabulary` said then.
            closed: Whether it had been closed.

        Raises:
            ModelError: The labels are fixed, and others.
        """
        if self._reader.vocabulary is not None:
            self._reader.vocabulary.restore(labels, closed)
        elif tuple(labels) != self.vocabulary:
            raise ModelError(
                f"model {self._spec.name!r} has {len(self.vocabulary)} labels, and not the {len(labels)} that were "
                "recorded for it; give the labels of that time, in the same order."
            )

    def __call__(self, images: Tensor, /) -> Tensor:
        """Answers images; they are rounded to 8 bits for callables that do not take tensors.

        Args:
            images: (N, 3, H, W), values in [0, 1].

        Returns:
            Rows (N, S), float32, on the device of the images.

        Raises:
            ModelError: The callable failed, or its answers cannot be read.
            RangeError: Values lie outside [0, 1].
            ShapeError: The images have another size.
        """
        check_images(images, self._spec.image_size)
        inputs = self._prepare(images.detach()) if self.takes == "tensor" else images
        try:
            answers = query_callable(self.function, inputs, self.takes, self._spec.name)
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(
                f"model {self._spec.name!r} failed on {len(images)} images: {type(error).__name__}: {error}"
            ) from error
        return torch.from_numpy(self._reader.rows(answers)).to(images.device)


def query_callable(function: Callable[..., object], images: Tensor, takes: str, name: str) -> list[Reply]:
    """Queries a callable with images (N, 3, H, W) in the form that it takes, and reads its answers.

    Raises:
        ModelError: What it returned cannot be read.
    """
    if takes == "tensor":
        return replies(function(images), len(images), name)
    handed = hand_over(images, takes)
    if takes == "image":
        return [one_reply(function(image), name) for image in handed]
    return replies(function(handed), len(images), name)


def widened(rows: Tensor, num_outputs: int) -> Tensor:
    """Returns rows (N, s) of a vocabulary that has grown since, (N, S): they were silent about what came later.

    Raises:
        ShapeError: S is below s; a vocabulary never shrinks.
    """
    if num_outputs < rows.shape[1]:
        raise ShapeError(f"expected rows of at most {num_outputs} outputs, got {tuple(rows.shape)}.")
    return pad(rows, (0, num_outputs - rows.shape[1]))
