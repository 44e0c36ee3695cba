"""A budget of queries that holds because it is reserved before anything is asked."""

from __future__ import annotations

from ..core import BudgetError, ConfigError

__all__ = ["Budget"]


class Budget:
    """Counts queries, images answered, and refuses those that do not fit; what failed requests cost counts as well.

    Args:
        total: The most that may be spent, at least 0; None for no limit.
        spent: What was spent earlier.

    Attributes:
        keep: Queries of the total that are set aside for a later stage, and are not `remaining` for this one.

    Raises:
        ConfigError: A number is negative.
    """

    def __init__(self, total: int | None, spent: int = 0) -> None:
        if total is not None and total < 0:
            raise ConfigError(f"a budget must be at least 0 queries, got {total}.")
        self._total = total
        self._spent = 0
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
    def remaining(self) -> int | None:
        """Queries left for the present stage, at least 0; None for no limit."""
        return None if self._total is None else max(0, self._total - self._spent - self.keep)

    def require(self, num_queries: int) -> None:
        """Makes sure that queries fit, without spending them.

        Raises:
            BudgetError: They do not.
            ConfigError: The number is negative.
        """
        if num_queries < 0:
            raise ConfigError(f"expected a number of queries of at least 0, got {num_queries}.")
        left = self.remaining
        if left is not None and num_queries > left:
            raise BudgetError(
                f"{num_queries} more queries were wanted, but {left} of {self._total} are left; nothing was asked. "
                "Raise --budget to go on."
            )

    def reserve(self, num_queries: int) -> None:
        """Spends queries, before they are asked; all of them or none.

        Raises:
            BudgetError: They do not fit.
            ConfigError: The number is negative.
        """
        self.require(num_queries)
        self._spent += num_queries

    def charge(self, num_queries: int) -> None:
        """Counts queries that were spent already, whether or not they fit.

        Raises:
            ConfigError: The number is negative.
        """
        if num_queries < 0:
            raise ConfigError(f"expected a number of queries of at least 0, got {num_queries}.")
        self._spent += num_queries
