"""What runs by answers alone share: the ledger, the budget, and the output transforms on answers without a prompt."""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Generic, TypeVar

from torch import Tensor

from ...core import ConfigError
from ...ledger import Budget, Journal, open_vocabulary, probe_queries
from ...ledger.ledger import LABELS, PRICE
from ...models import text_encoder
from ...outputs import OUTPUTS, candidates
from ...remote import endpoint_of
from ..baseline import Baseline
from ..budget.allocation import Allocation, reserve_of
from ..config.train_config import FREE
from ..fit.answers.cross_fit import Choice, CrossFit, choose
from ..fit.answers.first_answers import FirstAnswers, NoiseCheck
from ..fit.answers.zeroth_order import Candidate
from ..inputs.opening import Calls, identity_of, journal_of, open_ledger
from ..parts import Parts
from ..progress import Reporter
from ..run_folder import RunFolder, identity
from ..session import Session
from .learned import Learner

__all__ = ["DRIFT", "FEW", "AnswersBaseline", "AnswersLearner"]

DRIFT = "The model's answers have drifted since the run began: the same images are answered differently now."

FEW = 400
"""Labelled answers up to which further ways to fit a linear transform compete."""

_MOST_BUDGET = 10**7
_STUDENT_SHARE = 4
_STUDENT_VIEWS = 5
"""Queries about an unlabelled image, as long as nothing is known about the prompt that will be kept."""

B = TypeVar("B", bound="AnswersBaseline")


@dataclass(frozen=True, kw_only=True)
class AnswersBaseline(Baseline):
    """The answers without a prompt, as far as the budget pays for them.

    Attributes:
        first: To training images.
        noise: Images that were queried twice; None where too few were.
        choice: The output transform that serves best without a prompt, cross-fitted.
        began: When the run began to query, on the clock of `time.perf_counter`.
    """

    first: FirstAnswers
    val_positions: Tensor
    noise: NoiseCheck | None
    choice: Choice
    kind: str
    notes: tuple[str, ...]
    began: float

    @property
    def none(self) -> Candidate:
        """No prompt, as a candidate."""
        return Candidate("none", None, self.best, self.val)


class AnswersLearner(Learner[Journal, B], Generic[B]):
    """Every answer is in `ledger.sqlite` before it is used, so a stopped run repeats itself from there at no cost."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.allocation = self.allocate(parts.config.search.budget or 0)
        self._check_output()
        self._check_search()

    def allocate(self, budget: int) -> Allocation:
        """Divides a budget, the queries included that the model took while it was built.

        Raises:
            ConfigError: It is too small for the settings.
        """
        probed = probe_queries(self.parts.model)
        reserve = reserve_of(budget) if endpoint_of(self.parts.model) else 0
        student = self._student_queries(budget)
        plan = self.divide(max(0, budget - probed - reserve - student))
        return replace(plan, student=student, probe=probed, reserve=reserve)

    def _student_queries(self, budget: int) -> int:
        """Returns what is set aside for unlabelled images: a quarter of the budget, or what they may take at most."""
        images = self.parts.unlabelled
        return 0 if images is None else min(_STUDENT_VIEWS * len(images), budget // _STUDENT_SHARE)

    @abstractmethod
    def divide(self, budget: int) -> Allocation:
        """Divides what `allocate` leaves."""

    @property
    def num_train(self) -> int:
        """Training images that may be queried."""
        count = len(self.parts.data.train)
        return min(count, self.parts.config.search.head_images or count)

    @cached_property
    def least_budget(self) -> int | None:
        """The least budget that pays for a search; None where none does, since there are too few labelled images."""

        def searches(budget: int) -> bool:
            try:
                return self.allocate(budget).prompt > 0
            except ConfigError:  # the test alone would take too much of it
                return False

        budget = bisect_left(range(_MOST_BUDGET), True, key=searches)
        return budget if budget < _MOST_BUDGET else None

    def _check_search(self) -> None:
        search = self.parts.config.search
        if search.search_anyway and not self.allocation.prompt:
            least = self.least_budget
            needed = "more labelled images" if least is None else f"a budget of {least} queries or more"
            raise ConfigError(
                f"--search-anyway: {search.budget} queries are too few for any search; it needs {needed}."
            )

    def _check_output(self) -> None:
        kind = self.parts.config.output.kind or ""
        vocabulary = open_vocabulary(self.parts.model)
        closed = vocabulary is None or not vocabulary.open
        if not closed and not self.allocation.head:
            raise ConfigError(
                "the budget does not pay for one labelled answer, and without any the labels are not known."
            )
        known = self.parts.spec.num_outputs > 0  # or else its first answer will say
        if kind != "auto" and (closed or OUTPUTS[kind].fits) and known:
            self.parts.output(kind)

    def queries(self) -> dict[str, int]:
        """See `Learner`."""
        return self.allocation.to_json()

    def open(self, folder: RunFolder, reporter: Reporter) -> Session[Journal]:
        """See `Learner`."""
        parts, config, data = self.parts, self.parts.config, self.parts.data
        ledger = open_ledger(folder.path / "ledger.sqlite", parts.model)
        try:
            own = identity(
                model=[parts.spec.name, parts.weights_sha256, identity_of(parts.model), parts.words],
                config={name: value for name, value in config.options().items() if name not in FREE},
                classes=data.classes,
                images=[(images.names, images.labels.tolist()) for images in (data.train, data.val, data.test)],
            )
            folder.check_identity(ledger.read_meta("run"), own)
            ledger.write_meta(run=own)
            budget = Budget(config.search.budget, max_requests=config.endpoint.max_requests)
            own_answers = "\n".join((parts.weights_sha256, *parts.words))
            querier = journal_of(parts.model, ledger, budget, calls=Calls.of(config), identity=own_answers)
            if parts.words:
                ledger.write_meta(**{LABELS: str(len(parts.model.spec.labels or ()))})
            if config.search.price_per_1000 is not None:
                ledger.write_meta(**{PRICE: str(config.search.price_per_1000)})
        except BaseException:
            ledger.close()
            raise
        try:
            querier.announce(self.allocation.total, reporter.note, rate=config.endpoint.rate)
            return Session(replace(parts, data=self.tested(self.num_test)), folder, reporter, querier).readable()
        except BaseException:
            querier.close()
            raise

    @property
    def num_test(self) -> int:
        """Test images that the budget pays for, at most."""
        return self.allocation.test_images

    def _kinds(self, parts: Parts, *, few: bool = False) -> tuple[str, ...]:
        if parts.config.output.kind != "auto":
            return (parts.config.output.kind or "",)
        return candidates(parts.spec, text_encoder(parts.model) is not None, classes=parts.data.classes, few=few)

    def _choices(self, session: Session[Journal], first: FirstAnswers) -> tuple[dict[str, Choice], tuple[str, ...]]:
        """Tries the output transforms on the first answers; with none of those, takes one that learns nothing."""
        parts, answered = session.parts, first.answered
        kinds = self._kinds(parts, few=0 < len(answered.labels) <= FEW)
        if len(answered.labels) == 0:
            configured = parts.config.output.kind
            fixed = next(kind for kind in (*kinds, "first-k") if not OUTPUTS[kind].fits)
            note = f"Without labelled answers {configured!r} cannot be fitted; {fixed!r} reads them."
            choice = Choice(CrossFit(parts.output(fixed).to("cpu")), 0.0, 0.0)
            return {fixed: choice}, () if configured in ("auto", fixed) else (note,)
        choices = choose(parts.output, kinds, answered, first.folds[first.positions])
        accuracies = ", ".join(f"{kind} {choice.accuracy:.3f}" for kind, choice in choices.items())
        session.reporter.note(f"output transforms, cross-validated on {len(answered.labels)} answers: {accuracies}")
        return choices, ()
