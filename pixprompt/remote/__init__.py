"""Models behind an API: protocols, transport, rate limit, retry. The only place that imports requests."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .connection import connect as connect
    from .http.upstream import Upstream as Upstream
    from .journal import POLICIES as POLICIES, RemoteJournal as RemoteJournal
    from .model import RemoteModel as RemoteModel, endpoint_of as endpoint_of

__all__, __getattr__, __dir__ = lazy_names(__name__)
