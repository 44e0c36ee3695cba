"""The methods, one file each or one for a family; every module of this folder is imported, and calls `register`.

None of them imports torch: what makes a method is named, and imported when it is made.
"""

import importlib
import pkgutil

from ..method import ADAPTER_FILE, METHODS, Grid, Learning, Method, MethodSettings, register

__all__ = ["ADAPTER_FILE", "METHODS", "Grid", "Learning", "Method", "MethodSettings", "register"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
