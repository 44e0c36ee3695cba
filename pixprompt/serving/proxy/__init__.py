"""A proxy that prompts the images inside the requests of other programs."""

from typing import TYPE_CHECKING

from ...lazy import lazy_names

if TYPE_CHECKING:
    from .proxy import Proxy as Proxy, ProxyOptions as ProxyOptions

__all__, __getattr__, __dir__ = lazy_names(__name__)
