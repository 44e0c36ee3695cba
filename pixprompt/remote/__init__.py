"""Models behind an API: protocols, transport, rate limit, retry. The only place that imports requests."""

from .connection import connect
from .journal import POLICIES, RemoteJournal
from .model import RemoteModel

__all__ = ["POLICIES", "RemoteJournal", "RemoteModel", "connect"]
