"""The addresses of a v2 server, from what a user gives as URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from ....core import ConfigError
from ..options import text_option

__all__ = ["V2Url"]

_PATH = re.compile(r"(?P<base>.*?)/v2/models/(?P<model>[^/]+)(/versions/(?P<version>[^/]+))?(/infer)?/?")


@dataclass(frozen=True)
class V2Url:
    """The addresses of a server and of one model on it.

    Attributes:
        server: Metadata of the server, .../v2.
        model: Metadata of the model, .../v2/models/m or .../v2/models/m/versions/v.
        query: "?..." of the user's URL, or "".
    """

    server: str
    model: str
    query: str = ""

    @classmethod
    def matches(cls, url: str) -> bool:
        """Whether a URL is that of a v2 model, unmistakably."""
        return _PATH.fullmatch(urlsplit(url).path) is not None

    @classmethod
    def parse(cls, url: str, options: Mapping[str, Any]) -> V2Url:
        """Reads a URL such as http://host/v2/models/m/versions/3/infer, or http://host with option "model".

        Raises:
            ConfigError: Neither or both name a model.
        """
        parts = urlsplit(url)
        model, version = text_option(options, "model"), text_option(options, "version")
        match = _PATH.fullmatch(parts.path)
        if (match is None) == (model is None):
            problem = "names no model" if match is None else "and option 'model' name one each"
            raise ConfigError(f"the URL {url} {problem}; expected http://host/v2/models/NAME, or option 'model'.")
        if match is not None:
            base, named, version = match["base"], match["model"], match["version"] or version
        else:
            base, named = parts.path.rstrip("/").removesuffix("/v2"), quote(model or "", safe="")
        path = f"{base}/v2/models/{named}" + (f"/versions/{version}" if version else "")
        query = f"?{parts.query}" if parts.query else ""
        start = (parts.scheme, parts.netloc)
        return cls(urlunsplit((*start, f"{base}/v2", "", "")), urlunsplit((*start, path, "", "")), query)

    @property
    def infer(self) -> str:
        """Address to which images go."""
        return f"{self.model}/infer{self.query}"

    @property
    def health(self) -> str:
        """Address that says whether the server is ready."""
        return f"{self.server}/health/ready"

    @property
    def ready(self) -> str:
        """Address that says whether the model is ready."""
        return f"{self.model}/ready"

    @property
    def name(self) -> str:
        """Name of the model, not percent-encoded."""
        return unquote(self.model.removeprefix(f"{self.server}/models/").partition("/")[0])

    @property
    def repository(self) -> str:
        """The list of all models, an extension of Triton; asked by POST."""
        return f"{self.server}/repository/index"

    @property
    def config(self) -> str:
        """The configuration of the model, an extension of Triton."""
        return f"{self.model}/config"
