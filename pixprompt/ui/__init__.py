"""A local page that shows runs, compares and follows them, and puts prompts on images."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .server import UiServer as UiServer

__all__, __getattr__, __dir__ = lazy_names(__name__)
