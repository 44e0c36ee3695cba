"""Models behind an API: protocols, transport, pace, retry. The only place that imports requests."""

from .connecting import connect
from .journal import POLICIES, ImageRefused, RemoteJournal
from .model import RemoteModel

__all__ = ["POLICIES", "ImageRefused", "RemoteJournal", "RemoteModel", "connect"]
