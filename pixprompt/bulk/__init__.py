"""Prompts on many images: what is read, where the results go, and who does the work. No torch import."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .jobs import find_jobs as find_jobs
    from .prompter import Prompter as Prompter

__all__, __getattr__, __dir__ = lazy_names(__name__)
