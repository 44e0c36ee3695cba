"""What a run has learned, by whatever learner: the border between learning and scoring."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from ...canvas import Canvas
from ...core import OutputTransform
from ...data import Data
from ...ledger import Querier
from ...prompt import Committee, Prompt
from ..answers import Answered
from ..baseline import Baseline
from ..fit.answers.cross_fit import stratified_order
from ..parts import Parts
from ..progress import Reporter
from ..run_folder import RunFolder
from ..session import Session

__all__ = ["Learned", "Learner", "Solution"]

Q = TypeVar("Q", bound=Querier)
B = TypeVar("B", bound=Baseline)


@dataclass(frozen=True)
class Solution:
    """A prompt or an adapter with the transform that reads its outputs.

    Attributes:
        canvas: Of the images that it takes.
        val: Its outputs for the validation images, in memory; None where it has learned from those, too.
        test: Its outputs for the test images, where they are there already: a grid search scores every seed.
        prompted: Images (N, 3, H, W) -> prompted images of 8-bit values, to the bit those of its file; None where there
            is nothing of the kind.
        outputs: Images -> outputs (N, S), in memory; None for those of the model to prompted images.
        prompt: What a PNG holds; None where no PNG can. With several pages, the outputs under them stand side by side.
        write: Writes `adapter.safetensors`; None where a PNG holds all.
        is_better: Whether it validates better than nothing; None where the answers to its file are to show that.
        name: What it is called in a result: "prompt" or "adapter".
        held_out: Positions (N,) of training images and their logits (N, K), each read by a transform that has not seen
            it; None where there are none.
    """

    canvas: Canvas
    output: OutputTransform
    val: Answered | None
    test: Answered | None = None
    prompted: Callable[[Tensor], Tensor] | None = None
    outputs: Callable[[Tensor], Tensor] | None = None
    prompt: Prompt | Committee | None = None
    write: Callable[[Path], None] | None = None
    is_better: bool | None = None
    name: str = "prompt"
    held_out: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True)
class Learned:
    """What a run has learned, and what it took.

    Attributes:
        solution: None where nothing was found.
        num_train: Training images that were learned from.
        num_val: Validation images that were answered.
        history: A line per epoch or validation.
        images_per_second: Of training.
        earlier_seconds: What earlier sessions of the run spent.
        facts: Further fields of the result object.
        queries: Further fields of its `queries`.
        test_images: Test images that are queried, the first ones; None for all.
        searched: Whether a prompt or an adapter was looked for at all.
    """

    solution: Solution | None
    num_params: int
    num_train: int
    num_val: int
    history: list[dict[str, float]]
    notes: list[str] = field(default_factory=list)
    images_per_second: float = 0.0
    earlier_seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    queries: dict[str, Any] = field(default_factory=dict)
    test_images: int | None = None
    searched: bool = True


class Learner(ABC, Generic[Q, B]):
    """A way of learning. Making it builds what a run needs and checks that, before the model is queried.

    Raises:
        AccessError: A model gives less than the method needs.
        ConfigError: Settings do not go together, or the budget is too small.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    @property
    @abstractmethod
    def num_params(self) -> int:
        """Parameters to be learned."""

    def tested(self, count: int | None) -> Data:
        """Returns the data with so many test images, evenly over the classes; None for all."""
        data = self.parts.data
        if count is None:
            return data
        order = stratified_order(torch.from_numpy(data.test.labels.copy()), self.parts.config.seed, "test")
        return replace(data, test=data.test.subset(order[:count].tolist()))

    @abstractmethod
    def queries(self) -> dict[str, int]:
        """Returns the most queries that a run takes, by purpose."""

    def outlook(self) -> list[str]:
        """Returns what this budget pays for, and what would need another one, in sentences."""
        return []

    @abstractmethod
    def open(self, folder: RunFolder, reporter: Reporter) -> Session[Q]:
        """Opens the run in a folder that is claimed.

        Raises:
            ConfigError: The folder holds another run.
        """

    @abstractmethod
    def measure_baseline(self, session: Session[Q]) -> B:
        """Queries the model about labelled images without anything learned."""

    @abstractmethod
    def learn(self, session: Session[Q], baseline: B) -> Learned:
        """Learns, from where an earlier session has stopped."""
