"""Protocols of remote models, one file each; a module of this folder that registers in PROTOCOLS is found by itself."""

import importlib
import pkgutil

from ..protocol import PROTOCOLS

__all__ = ["PROTOCOLS"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
