"""The record of every query and its answer, on disk before it is used; budgets."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .budget import Budget
    from .journal import Journal
    from .ledger import Ledger, Totals
    from .local_journal import LocalJournal
    from .querier import OpenVocabulary, Querier, probe_queries
    from .reply_ledger import ReplyLedger

__all__ = [
    "Budget",
    "Journal",
    "Ledger",
    "LocalJournal",
    "OpenVocabulary",
    "Querier",
    "ReplyLedger",
    "Totals",
    "probe_queries",
]

__getattr__ = lazy_names(
    __name__,
    {
        "budget": "Budget",
        "journal": "Journal",
        "ledger": "Ledger Totals",
        "local_journal": "LocalJournal",
        "querier": "OpenVocabulary Querier probe_queries",
        "reply_ledger": "ReplyLedger",
    },
)
