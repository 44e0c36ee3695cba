"""From the answers of a model to the user's classes, with the output transform of the prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...core import AnswerKind, ConfigError, ModelSpec, PixpromptError
from ...outputs.saved import SavedOutput
from ...replies.parse import Reply
from ...replies.readers import reader_for
from .forms import Shares
from .prompter import UnknownForm

__all__ = ["AnswerMap"]


class AnswerMap:
    """Reads answers of any form as what they were when the prompt was learned.

    Args:
        output: The output transform of the prompt file.

    Attributes:
        num_labels: S, the number of the model's outputs.

    Raises:
        ConfigError: The prompt has none, or one for embeddings.
    """

    def __init__(self, output: Mapping[str, Any]) -> None:
        try:
            self._answer, self.num_labels = AnswerKind(output["answer"]), int(output["num_outputs"])
            self.classes: tuple[str, ...] = tuple(output["classes"])
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError("the prompt does not say how answers become labels; leave out --map-answers.") from error
        if self._answer is AnswerKind.EMBEDDINGS:
            raise ConfigError("the prompt reads embeddings, which no endpoint answers with; leave out --map-answers.")
        self._output = dict(output)
        self._labels = tuple(output.get("labels") or ()) or None
        self._transforms: dict[tuple[AnswerKind, tuple[str, ...] | None], SavedOutput] = {}

    def __call__(self, replies: Sequence[Reply | None]) -> Shares:
        """Returns probabilities (N, K) of the user's classes.

        Raises:
            UnknownForm: An answer is missing, or of another form than those that the prompt was learned from.
        """
        complete = [reply for reply in replies if reply is not None]
        if len(complete) < len(replies) or not complete:
            raise UnknownForm("the reply holds no scores for every image")
        if isinstance(complete[0], dict) and self._labels is None:
            raise UnknownForm("the reply names its scores, and the prompt was learned from scores without names")
        try:
            reader = reader_for(
                complete[0],
                answer=self._answer,
                labels=self._labels,
                num_outputs=self.num_labels,
                name="the endpoint's",
            )
            if reader.vocabulary is not None:
                reader.vocabulary.restore(self._labels or (), True)
            rows = reader.rows(complete)
            logits = self._transform(reader.answer, reader.labels)(rows).astype(np.float64)
        except PixpromptError as error:
            raise UnknownForm(str(error)) from error
        shares: Shares = np.exp(logits - logits.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        return shares

    def _transform(self, answer: AnswerKind, labels: tuple[str, ...] | None) -> SavedOutput:
        key = answer, labels
        if key not in self._transforms:
            spec = ModelSpec("the endpoint's", (1, 1), self.num_labels, answer=answer, labels=labels or self._labels)
            self._transforms = {key: SavedOutput(self._output, spec)}
        return self._transforms[key]
