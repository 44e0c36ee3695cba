"""Learned pixels as one candidate of the race of views: from local models at no query, or from a search by answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ...adapters import InBasis
from ...canvas import Canvas
from ...core import Model
from ...data import Data
from ...ledger import Journal
from ...prompt import Prompt
from ..budget.allocation import Allocation, allocate
from ..config.train_config import TrainConfig
from ..fit.answers.cross_fit import Choice, stratified_order
from ..fit.answers.first_answers import FirstAnswers
from ..fit.answers.initial_prompts import num_starts
from ..fit.answers.prompt_search import PromptSearch, SearchTask
from ..fit.answers.surrogate import Surrogate
from ..fit.answers.zeroth_order import Candidate
from ..parts import Parts, build
from ..progress import Silent
from ..run_folder import RunFolder
from ..saved.prompt_png import origin_of
from ..session import Session

__all__ = ["LearnedPage", "surrogate_prompt"]

_SEARCH_SHARE = 0.5
"""Of what the race has, for a search by answers."""


class LearnedPage:
    """What `--surrogate`, or `--optimizer` beside `--views`, learns before a race; `learn` is the entry point.

    Args:
        parts: The parts of the run.

    Raises:
        AccessError: A surrogate gives no gradients.
        ConfigError: Settings do not go together.
    """

    def __init__(self, parts: Parts) -> None:
        self.search = PromptSearch(parts) if parts.config.fit.optimizer else None
        self.surrogate = Surrogate(parts) if parts.config.search.surrogate and self.search is None else None

    def __bool__(self) -> bool:
        return self.search is not None or self.surrogate is not None

    def allocate(self, parts: Parts, num_queries: int) -> Allocation:
        """Divides a share of the queries of a race; a surrogate takes none."""
        if self.search is None:
            return Allocation()
        plan = allocate(
            int(_SEARCH_SHARE * num_queries),
            num_train=len(parts.data.train),
            num_val=len(parts.data.val),
            num_test=0,
            has_prompt=True,
            num_classes=len(parts.data.classes),
            num_starts=num_starts(parts),
            search_anyway=True,
        )
        return plan if plan.prompt else Allocation()

    def learn(
        self, session: Session[Journal], plan: Allocation, first: FirstAnswers, choice: Choice, kind: str, reserved: int
    ) -> tuple[list[Prompt], list[str]]:
        """Returns the prompt, if one was found, and notes.

        Args:
            session: The run in progress.
            plan: Of `allocate`.
            first: Answers without a prompt.
            choice: What reads them.
            kind: Its name.
            reserved: Queries that are left to what comes after it.
        """
        parts = session.parts
        if self.surrogate is not None:
            start = self.surrogate.starts(session, first, choice)[0]
            return [_page(parts, start.theta, parts.fitted(start.shrink))], []
        if self.search is None or not plan.prompt:
            return [], ["No pixels were searched by answers: the budget pays for a race of views alone."]
        labels = torch.from_numpy(parts.data.val.labels.copy())
        positions = stratified_order(labels, parts.config.seed, "val")[: plan.val]
        val = session.query("val", parts.plain, positions)
        none, positions = Candidate("none", None, choice.heads.full, val.complete), positions[val.mask]
        task = SearchTask(session, replace(plan, noise=0, test=reserved), first, choice, kind, none, positions)
        outcome = self.search.run(task)
        best = outcome.candidate
        if best is None or best.x is None or best.canvas is None or not isinstance(best.prompter, InBasis):
            return [], outcome.notes
        return [_page(parts, best.prompter.theta(best.x), best.canvas)], outcome.notes


def surrogate_prompt(config: TrainConfig, *, model: Model, data: Data) -> Prompt:
    """Learns a prompt on the local models that `surrogate` names, from the labels; the model itself is not queried.

    Args:
        config: With a surrogate and a budget.
        model: What the prompt is for.
        data: The training images are learned from.

    Raises:
        AccessError: A surrogate gives no gradients.
        ConfigError: Settings do not go together.
    """
    parts = build(config, model=model, data=data)
    session = Session(parts, RunFolder(Path()), Silent(), parts.counted)
    start = Surrogate(parts).starts(session)[0]
    return _page(parts, start.theta, parts.fitted(start.shrink))


def _page(parts: Parts, theta: Tensor, canvas: Canvas) -> Prompt:
    return parts.template.to_prompt(theta, canvas, **origin_of(parts))
