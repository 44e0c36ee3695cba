"""The sections of one run: each a title, a view of what is to be seen, and why it is missing where it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError
from markupsafe import Markup

from ...core import PixpromptError
from ..evidence import Evidence
from ..run_files import RunFiles
from . import diagnosis, mapping, numbers, pictures, white_box
from .environment import environment
from .views import NothingToShow, View

__all__ = ["Section", "render", "sections_of"]

Viewer = Callable[[RunFiles, Evidence], View]


def _as_is(run: RunFiles, evidence: Evidence) -> View:
    """Leaves it to the macro to pick what it shows."""
    return {"run": run, "evidence": evidence}


_PIXEL: tuple[tuple[str, str, Viewer], ...] = (
    ("ladder", "The ladder", numbers.ladder),
    ("prompt", "The prompt", pictures.prompt),
    ("images", "Images before and after", pictures.images),
    ("saliency", "Saliency maps", pictures.saliency),
    ("confusion", "Confusion before and after", pictures.confusions),
    ("curves", "Learning curves", numbers.curves),
    ("spending", "Accuracy against queries and money", numbers.spending),
    ("points", "The answers in the plane", pictures.points),
    ("mapping", "From answers to labels", mapping.mapping),
    ("diagnostics", "Diagnostics", diagnosis.diagnostics),
    ("settings", "Settings", _as_is),
    ("files", "Files", _as_is),
)
_WHITE_BOX: tuple[tuple[str, str, Viewer], ...] = (
    ("ladder", "The ladder", numbers.ladder),
    ("adapter", "What was learned", _as_is),
    ("search", "The search", white_box.search),
    ("preview", "Images and confusion", _as_is),
    ("curves", "Learning curves", numbers.curves),
    ("diagnostics", "Diagnostics", diagnosis.diagnostics),
    ("settings", "Settings", _as_is),
    ("files", "Files", _as_is),
)
"""Key, which names the macro in `sections.html`; title; what makes the view. A method inside a model has no picture,
and nothing of it is paid for."""


@dataclass(frozen=True)
class Section:
    """One part of the page.

    Attributes:
        key: Its place in the page, for links.
    """

    key: str
    title: str
    body: Markup


def sections_of(run: RunFiles, evidence: Evidence, skipped: Collection[str] = ()) -> Iterator[Section]:
    """Yields the sections of a run, in the order of a first reading, but for the skipped keys."""
    for key, title, view in _WHITE_BOX if run.white_box else _PIXEL:
        if key in skipped or (key == "search" and not (run.result and run.result.search)):
            continue
        yield Section(key, title, render(key, lambda view=view: view(run, evidence)))  # type: ignore[misc]


def render(key: str, view: Callable[[], View]) -> Markup:
    """Fills the macro of a section with its view, or says why it is missing."""
    macros: Any = environment().get_template("sections.html").module
    try:
        filled: Markup = getattr(macros, key)(view())
    except PixpromptError as error:
        filled = macros.absent(str(error), error.preview if isinstance(error, NothingToShow) else None)
    except ModuleNotFoundError as error:  # a light install
        filled = macros.absent(f"{error.name} is missing: pip install {error.name}.", None)
    except (TypeError, ValueError, LookupError, AttributeError, TemplateError) as error:  # files that others wrote
        reason = f"a file of the run does not hold what was expected ({type(error).__name__}: {error})."
        filled = macros.absent(reason, None)
    return filled
