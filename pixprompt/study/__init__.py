"""Studies: the same run over several settings and seeds."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names
from .kinds import KINDS as KINDS

if TYPE_CHECKING:
    from .run import machine as machine, study as study, table as table, table_row as table_row

__all__, __getattr__, __dir__ = lazy_names(__name__)
