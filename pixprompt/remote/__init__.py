"""Models behind an API: protocols, transport, rate limit, retry. The only place that imports requests."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .connection import connect
    from .journal import POLICIES, RemoteJournal
    from .model import RemoteModel

__all__ = ["POLICIES", "RemoteJournal", "RemoteModel", "connect"]

__getattr__ = lazy_names(
    __name__, {"connection": "connect", "journal": "POLICIES RemoteJournal", "model": "RemoteModel"}
)
