"""The record of every query and its answer, on disk before it is used; budgets."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .budget import Budget as Budget
    from .journal import Journal as Journal
    from .ledger import Ledger as Ledger, Totals as Totals
    from .local_journal import LocalJournal as LocalJournal
    from .querier import (
        OpenVocabulary as OpenVocabulary,
        Querier as Querier,
        ZeroShot as ZeroShot,
        open_vocabulary as open_vocabulary,
        probe_queries as probe_queries,
        zero_shot as zero_shot,
    )
    from .reply_ledger import ReplyLedger as ReplyLedger
    from .summary import read_ledger as read_ledger

__all__, __getattr__, __dir__ = lazy_names(__name__)
