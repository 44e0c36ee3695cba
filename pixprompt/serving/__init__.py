"""Endpoints: a local model, or a saved prompt with its model, over HTTP; services answer without a socket."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .limits import Limits as Limits
    from .messages import Request as Request, Response as Response
    from .prompt_service import PromptService as PromptService
    from .server import Server as Server
    from .service import Service as Service
    from .v2_service import served_name as served_name

__all__, __getattr__, __dir__ = lazy_names(__name__)
