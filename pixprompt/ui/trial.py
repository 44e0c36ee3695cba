"""One image under a prompt: its canvas, the prompted image, and what a model on this machine answers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from PIL import Image

from ..canvas import Pixels
from ..core import ConfigError, PixpromptError
from ..prompt import Committee, load_committee
from ..report.run_files import RunFiles
from ..requirements import missing_package
from ..sharing import LEARNED_FILES
from ..urls import offline
from ..views import view_name
from .runs import signature

if TYPE_CHECKING:
    from ..engine.saved.deploy import Deployed
    from ..engine.saved.saved_prompt import SavedPrompt

__all__ = ["Answer", "Step", "Trial", "Trials"]

_TOP = 5
_DROPPED = 16
"""Prompt files that are remembered."""


@dataclass(frozen=True)
class Step:
    """An image under one page of a prompt.

    Attributes:
        name: Of the page, where there are several; empty for a prompt alone.
        canvas: (H, W, 3) before.
        prompted: (H, W, 3) after.
    """

    name: str
    canvas: Pixels
    prompted: Pixels


@dataclass(frozen=True)
class Answer:
    """What a model says.

    Attributes:
        title: In which state.
        top: Class and probability, the likeliest first.
    """

    title: str
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Trial:
    """One image under a prompt.

    Attributes:
        steps: One for each page; none where the prompt cannot be had without its model.
        answers: Before, where that can be read, and after; none where the model is not asked.
        reason: Why it is not asked, or why it does not say what was before.
        can_compare: Whether there is a prompt that can be left out.
    """

    steps: tuple[Step, ...]
    answers: tuple[Answer, ...]
    reason: str | None
    can_compare: bool = False


class _Prediction(Protocol):
    @property
    def probabilities(self) -> dict[str, float]: ...


class Trials:
    """Puts prompts on images and asks models of this machine; nothing is downloaded for it. For one thread."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._model: tuple[Hashable, Deployed] | None = None
        self._dropped: OrderedDict[str, Committee] = OrderedDict()

    def remember(self, content: bytes) -> tuple[str, Committee]:
        """Reads a prompt file, and returns the name under which it is remembered for a while.

        Raises:
            PromptError: It is none.
        """
        committee, name = load_committee(content), sha256(content).hexdigest()
        self._dropped[name] = committee
        self._dropped.move_to_end(name)
        while len(self._dropped) > _DROPPED:
            self._dropped.popitem(last=False)
        return name, committee

    def of_run(self, run: RunFiles, image: Image.Image) -> Trial:
        """Tries the prompt, or the adapter, of a run."""
        if run.may_cost:
            return self._trial(run.committee, "may cost", None, image)
        learned = tuple(fact for fact in signature(run.folder) if fact[0] in LEARNED_FILES)
        return self._trial(run.committee, (run.folder, learned), run.folder, image)

    def of_dropped(self, name: str, image: Image.Image) -> Trial:
        """Tries a prompt file.

        Raises:
            ConfigError: It is no longer remembered.
        """
        if name not in self._dropped:
            raise ConfigError("this prompt file is no longer here; drop it again.")
        committee = self._dropped[name]
        return self._trial(committee, name, committee, image)

    def close(self) -> None:
        """Releases the model."""
        if self._model is not None:
            self._model[1].close()
        self._model = None

    def _trial(
        self, committee: Committee | None, key: Hashable, source: Path | Committee | None, image: Image.Image
    ) -> Trial:
        if source is None:
            reason = "This model may be paid for, so this page does not ask it. The command does."
            return Trial(_steps(committee, image), (), reason)
        try:
            deployed = self._deployed(key, source)
        except PixpromptError as error:
            return Trial(_steps(committee, image), (), f"The model was not asked: {error}")
        except ModuleNotFoundError as error:
            return Trial(_steps(committee, image), (), missing_package(error) or str(error))
        # A white-box adapter leaves the image as it is; a prompt for each image is known to its model alone.
        steps = _steps(deployed.prompt, image)
        try:
            answers, missing = _answers(deployed, image)
        except PixpromptError as error:
            return Trial(steps, (), f"The model does not answer: {error}")
        return Trial(steps, answers, missing, can_compare=len(answers) > 1)

    def _deployed(self, key: Hashable, source: Path | Committee) -> Deployed:
        from ..engine.saved.deploy import deploy

        if self._model is None or self._model[0] != key:
            self.close()
            with offline():
                self._model = key, deploy(source, device=self._device)
        return self._model[1]


def _steps(prompt: SavedPrompt | None, image: Image.Image) -> tuple[Step, ...]:
    if prompt is None:
        return ()
    steps, several = [], len(prompt.pages) > 1
    for number, page in enumerate(prompt.pages, 1):
        canvas = page.canvas.make(image)
        name = f"view {number}: {view_name(page)}" if several else ""  # type: ignore[arg-type]  # only prompts come in several
        steps.append(Step(name, canvas, page.overlay(canvas[None])[0]))
    return tuple(steps)


def _answers(deployed: Deployed, image: Image.Image) -> tuple[tuple[Answer, ...], str | None]:
    """Returns the answers, and why one of them is missing."""
    ask: Callable[[Image.Image], _Prediction] = deployed
    try:
        before = _answer("without the prompt", deployed.without_prompt()(image))
    except ConfigError as error:
        title = "" if deployed.prompt.is_empty else "under all views"
        return (_answer(title, ask(image)),), str(error)
    return (before, _answer("with the prompt", ask(image))), None


def _answer(title: str, prediction: _Prediction) -> Answer:
    named = sorted(prediction.probabilities.items(), key=lambda pair: -pair[1])
    return Answer(title, tuple(named[:_TOP]))
