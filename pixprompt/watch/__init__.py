"""Watching the model behind an endpoint: the same few images on a schedule, and an alarm when its answers change."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .drift import Comparison as Comparison, alarm_level as alarm_level, compare as compare
    from .rounds import Round as Round, Watch as Watch

__all__, __getattr__, __dir__ = lazy_names(__name__)
