"""Names of a package that are imported when they are first used, so that what needs no torch does not pay for it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from .requirements import missing_package

__all__ = ["lazy_names"]


def lazy_names(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Returns the `__getattr__` of a package.

    Args:
        package: Its `__name__`.
        modules: Module, below the package -> names of it, separated by spaces.
    """
    homes = {name: module for module, names in modules.items() for name in names.split()}

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        except ModuleNotFoundError as error:
            reason = missing_package(error)
            if reason is None:
                raise
            raise ModuleNotFoundError(reason, name=error.name) from error

    return get
