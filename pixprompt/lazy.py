"""Names of a package that are imported when they are first used, so that what needs no torch does not pay for it."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from .requirements import missing_package

__all__ = ["lazy_names"]


def lazy_names(package: str) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """Returns the `__all__`, the `__getattr__` and the `__dir__` of a package.

    They are read off its `__init__.py`, where type checkers see the same names: each `from .module import name as name`
    offers a name, and those under `if TYPE_CHECKING` are not imported before they are used; `from . import module as
    module` offers a module.

    Args:
        package: Its `__name__`.
    """
    source = pkgutil.get_data(package, "__init__.py") or b""
    homes = {
        name.name: node.module
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for name in node.names
        if name.asname == name.name
    }

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = homes[name]
        try:
            if home is None:
                return importlib.import_module(f".{name}", package)
            return getattr(importlib.import_module(f".{home}", package), name)
        except ModuleNotFoundError as error:
            reason = missing_package(error)
            if reason is None:
                raise
            raise ModuleNotFoundError(reason, name=error.name) from error

    names = sorted(homes)
    return names, get, lambda: names
