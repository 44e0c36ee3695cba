"""Studies: the same run over several settings and seeds."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .run import machine, study, table, table_row

__all__ = ["KINDS", "machine", "study", "table", "table_row"]

KINDS = ("text", "mapping", "templates", "sizes")

__getattr__ = lazy_names(__name__, {"run": "machine study table table_row"})
