"""The page on a socket of this machine."""

from __future__ import annotations

from pathlib import Path

from ..serving.http_server import HttpServer
from ..serving.intake import Intake
from ..serving.limits import Limits
from .access import Access
from .app import UiApp
from .runs import RunsFolder

__all__ = ["UiServer"]

_HOST = "127.0.0.1"
_MAX_BYTES = 64_000_000


class UiServer(HttpServer):
    """Serves the page while a `with` block runs, to this machine alone; see `HttpServer`.

    Args:
        folder: With run directories, or one of them.
        port: 0 for any free one.

    Raises:
        ConfigError: There is no such folder.
    """

    def __init__(
        self, folder: str | Path, *, port: int = 0, device: str = "auto", limits: Limits | None = None
    ) -> None:
        limits, runs, self._access = limits or Limits(), RunsFolder(folder), Access()
        super().__init__(
            lambda: UiApp(runs, self._access, Intake(limits, _MAX_BYTES, _HOST), device=device),
            host=_HOST,
            port=port,
            limits=limits,
        )

    @property
    def url(self) -> str:
        """The link that lets a browser in, inside the block."""
        return f"{self.origin}/#{self._access.token}"
