"""The pictures of a run left blank, where a test is about something else: drawing takes most of a small run's time."""

from __future__ import annotations

import io
from collections.abc import Callable
from inspect import signature
from typing import Any

import pytest
from PIL import Image

from pixprompt import plots
from pixprompt.engine.saved import pictures


class Blank:
    """A figure of one pixel."""

    def savefig(self, buffer: io.BytesIO, *, format: str, dpi: int) -> None:
        """Writes the pixel."""
        Image.new("L", (1, 1)).save(buffer, format)


def blank(draw: Callable[..., Any]) -> Callable[..., Blank]:
    """What takes the arguments of `draw`, and no others, and draws nothing."""
    form = signature(draw)

    def drawn(*arguments: Any, **options: Any) -> Blank:
        form.bind(*arguments, **options)
        return Blank()

    return drawn


BLANKS = {name: blank(getattr(plots, name)) for name in ("curves_figure", "preview_figure", "student_figure")}


def blank_pictures(patch: pytest.MonkeyPatch) -> None:
    """Makes runs draw one pixel; files and their order stay."""
    for name, nothing in BLANKS.items():
        patch.setattr(pictures, name, nothing)


def leave_blank(request: pytest.FixtureRequest, patch: pytest.MonkeyPatch) -> None:
    """Makes runs draw one pixel, unless the test asks for the fixture `drawn`."""
    if "drawn" not in request.fixturenames:
        blank_pictures(patch)
