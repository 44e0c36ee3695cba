"""A budget of queries and requests that holds because it is reserved before anything is sent."""

from __future__ import annotations

import threading

from ..core import BudgetError, ConfigError, LimitError

__all__ = ["Budget"]


class Budget:
    """Counts queries, images answered, and refuses those that do not fit; what failed requests cost counts as well.

    Threads may share it.

    Args:
        total: The most that may be spent, at least 0; None for no limit.
        spent: What was spent earlier.
        max_requests: The most requests that may be sent, at least 0; None for no limit.

    Attributes:
        keep: Queries of the total that are set aside for a later stage, and are not `remaining` for this one.

    Raises:
        ConfigError: A number is negative.
    """

    def __init__(self, total: int | None, spent: int = 0, *, max_requests: int | None = None) -> None:
        if total is not None and total < 0:
            raise ConfigError(f"a budget must be at least 0 queries, got {total}.")
        if max_requests is not None and max_requests < 0:
            raise ConfigError(f"a budget must be at least 0 requests, got {max_requests}.")
        self._total, self._max_requests = total, max_requests
        self._spent = self._requests = 0
        self._lock = threading.RLock()
        self.keep = 0
        self.charge(spent)

    def __repr__(self) -> str:
        return f"Budget(total={self._total}, spent={self._spent})"

    @property
    def total(self) -> int | None:
        """The most that may be spent; None for no limit."""
        return self._total

    @property
    def spent(self) -> int:
        """Queries spent so far; above the total only where more than that was spent earlier."""
        return self._spent

    @property
    def requests(self) -> int:
        """Requests reserved so far; 0 where only queries are counted."""
        return self._requests

    @property
    def remaining(self) -> int | None:
        """Queries left for the present stage, at least 0; None for no limit."""
        return None if self._total is None else max(0, self._total - self._spent - self.keep)

    def require(self, num_queries: int, num_requests: int = 0) -> None:
        """Makes sure that queries fit, and the requests that carry them, without spending them.

        Raises:
            BudgetError: The queries do not.
            ConfigError: A number is negative.
            LimitError: The requests do not.
        """
        if num_queries < 0 or num_requests < 0:
            raise ConfigError(f"expected a number of queries of at least 0, got {min(num_queries, num_requests)}.")
        remaining = self.remaining
        if remaining is not None and num_queries > remaining:
            raise BudgetError(
                f"{num_queries} more queries were wanted, but {remaining} of {self._total} are left; nothing was asked."
                " Raise --budget to go on."
            )
        if self._max_requests is not None and num_requests > max(0, self._max_requests - self._requests):
            raise LimitError(
                f"{num_requests} more requests were wanted, but {max(0, self._max_requests - self._requests)} of "
                f"{self._max_requests} are left; nothing was asked. Raise --max-requests to go on."
            )

    def reserve(self, num_queries: int, num_requests: int = 0) -> None:
        """Spends queries, before they are sent; all of them or none.

        Raises:
            BudgetError: They do not fit.
            ConfigError: A number is negative.
            LimitError: The requests do not fit.
        """
        with self._lock:
            self.require(num_queries, num_requests)
            self._spent += num_queries
            self._requests += num_requests

    def release(self, num_queries: int) -> None:
        """Gives queries back that were reserved and surely not billed; the request stays counted."""
        with self._lock:
            self._spent -= num_queries

    def charge(self, num_queries: int, num_requests: int = 0) -> None:
        """Counts queries that were spent already, whether or not they fit.

        Raises:
            ConfigError: A number is negative.
        """
        if num_queries < 0 or num_requests < 0:
            raise ConfigError(f"expected a number of queries of at least 0, got {min(num_queries, num_requests)}.")
        with self._lock:
            self._spent += num_queries
            self._requests += num_requests
