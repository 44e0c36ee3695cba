"""An output transform of any kind as one table: logits = scores @ weight + bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ..core import AnswerKind, ModelSpec, PromptError
from ..outputs.saved import DOUBT, SavedOutput

__all__ = ["OutputTable"]


@dataclass(frozen=True)
class OutputTable:
    """How the answers about an image become logits of the user's classes.

    Attributes:
        kind: Of the output transform.
        classes: K names.
        answer: What the numbers of an answer are; says how they become scores.
        labels: S names of the source classes where an answer is made of names; otherwise empty.
        num_outputs: S.
        views: V, the answers that stand side by side.
        floor: What a probability of 0 stands for.
        weight: (V * S, P) float64.
        bias: (P,) float64.
        present: P ascending class indices of the columns; every other class has the smallest logit, less 1.
    """

    kind: str
    classes: tuple[str, ...]
    answer: AnswerKind
    labels: tuple[str, ...]
    num_outputs: int
    views: int
    floor: float
    weight: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]
    present: tuple[int, ...]

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """Reads the `output` object of a prompt file.

        Raises:
            PromptError: It is damaged.
        """
        try:
            labels, answer = tuple(values.get("labels", ())), AnswerKind(values["answer"])
            spec = ModelSpec("", (1, 1), int(values["num_outputs"]), answer, labels=labels or None)
        except (KeyError, TypeError, ValueError) as error:
            raise PromptError(f"the output transform of the prompt file cannot be used: {error}.") from error
        output = SavedOutput(values, spec)
        weight, bias, present = output.linear_form()
        floor = float(values.get("floor", 1e-6))
        sizes = spec.num_outputs, output.views, floor
        return cls(output.kind, output.classes, answer, labels, *sizes, weight, bias, present)

    def to_json(self) -> dict[str, Any]:
        """Returns the table with plain lists of numbers."""
        return {
            "kind": self.kind,
            "classes": list(self.classes),
            "answer": str(self.answer),
            "labels": list(self.labels),
            "num_outputs": self.num_outputs,
            "views": self.views,
            "floor": self.floor,
            "doubt": DOUBT,
            "weight": self.weight.tolist(),
            "bias": self.bias.tolist(),
            "present": list(self.present),
        }
