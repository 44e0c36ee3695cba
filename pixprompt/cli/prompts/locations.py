"""Places of files on the command line: paths of this machine, and URLs of stores."""

from __future__ import annotations

from typing import Any

import click

from ...stores import StoreFile, is_url, locate

__all__ = ["LocationType"]


class LocationType(click.Path):
    """A path of this machine, which is checked, or the URL of a store, which is not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Returns a `Location`."""
        place = locate(value) if isinstance(value, str) and is_url(value) else value
        return place if isinstance(place, StoreFile) else super().convert(place, param, ctx)
