"""Methods, templates and output transforms of the user's own: imported where the command line names them only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..adapters import METHODS
from ..core import ConfigError
from ..outputs import OUTPUTS
from ..templates import TEMPLATES

__all__ = ["load_named", "load_own"]


def load_named(options: Mapping[str, Any]) -> None:
    """Imports the template and the output transform that are given as module:attribute.

    Raises:
        ConfigError: There is no such code, or it is something else.
    """
    for name, registry in (("template", TEMPLATES), ("output", OUTPUTS)):
        if ":" in (options.get(name) or ""):
            registry.load(options[name])


def load_own(name: str) -> None:
    """Imports code of the user's own, so that runs and prompt files that name it can be read.

    Raises:
        ConfigError: There is no such code, or it is no method, template or output transform.
    """
    faults = []
    for registry in (METHODS, TEMPLATES, OUTPUTS):
        try:
            registry.load(name)
            return
        except ConfigError as error:
            faults.append(str(error))
    raise ConfigError(" ".join(dict.fromkeys(faults)))
