"""What a view is, and how it says that there is nothing to show."""

from __future__ import annotations

from typing import Any

from ...core import PixpromptError
from ..run_files import RunFiles

__all__ = ["NothingToShow", "View", "require"]

View = dict[str, Any]
"""What the macro of a section shows: small values by name, text not escaped."""


class NothingToShow(PixpromptError):
    """A section has nothing to show.

    Attributes:
        preview: The data URI of the run's own picture, which may serve instead.
    """

    def __init__(self, reason: str, preview: str | None = None) -> None:
        super().__init__(reason)
        self.preview = preview


def require(run: RunFiles, file: str, present: bool) -> None:
    """Raises `NothingToShow` with the reason why a file of a run is not there."""
    if not present:
        raise NothingToShow(f"{file}: {run.missing.get(file, 'it is empty')}.")
