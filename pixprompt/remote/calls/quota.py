"""How many retries all threads together may spend: an outage uses them up, and is then left alone."""

from __future__ import annotations

import threading

__all__ = ["Quota"]


class Quota:
    """A number of tokens that retries cost and successes give back; for any number of threads.

    Args:
        capacity: Tokens at the start, and the most there ever are.
    """

    def __init__(self, capacity: int = 500) -> None:
        self._capacity = self._left = capacity
        self._lock = threading.Lock()

    @property
    def left(self) -> int:
        """Tokens that may be taken."""
        return self._left

    def take(self, tokens: int) -> bool:
        """Takes tokens, all or none; returns whether there were enough."""
        with self._lock:
            enough = tokens <= self._left
            self._left -= tokens if enough else 0
            return enough

    def give_back(self, tokens: int) -> None:
        """Returns tokens."""
        with self._lock:
            self._left = min(self._left + tokens, self._capacity)
