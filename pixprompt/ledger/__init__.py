"""The record of every query and its answer, on disk before it is used; budgets."""

from .budget import Budget
from .journal import Journal, Journaled, probe_queries
from .ledger import Ledger, Totals
from .reply_ledger import ReplyLedger

__all__ = ["Budget", "Journal", "Journaled", "Ledger", "ReplyLedger", "Totals", "probe_queries"]
