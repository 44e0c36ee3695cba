"""How the queries of a report are divided."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Plan", "divide", "plan_queries"]

_GRIDS = (7, 6, 5, 4)
_CAM_PAIRS, _OCCLUSION_PAIRS = 6, 3


@dataclass(frozen=True)
class Plan:
    """What to query.

    Attributes:
        images: Test images, each without and with the prompt.
        pairs: Images that get a saliency map without and one with the prompt.
        grid: Rows and columns of an occlusion map; 0 where gradients show it.
        spare: Queries that remain for occlusion where gradients fail; None without a limit.
    """

    images: int
    pairs: int
    grid: int
    spare: int | None = None


def plan_queries(images: int, limit: int | None, *, by_gradient: bool) -> Plan | None:
    """Divides queries between answers and maps.

    Args:
        images: Most test images to query, each twice.
        limit: Most queries, or None.
        by_gradient: Whether maps come from gradients, one query each, or from occlusion.

    Returns:
        The plan; None where the limit does not pay even one image.
    """
    if by_gradient:
        if limit is None:
            return Plan(images, _CAM_PAIRS, 0)
        answered = min(images, (limit - 2 * _CAM_PAIRS) // 2)
        if answered >= 1:
            return Plan(answered, _CAM_PAIRS, 0, limit - 2 * answered)
        return Plan(min(images, limit // 2), 0, 0, 0) if limit >= 2 else None
    if limit is None:
        return Plan(images, *divide(None, images))
    answered = min(images, limit // 4 or limit // 2)
    if answered < 1:
        return None
    pairs, grid = divide(limit - 2 * answered, answered)
    return Plan(answered, pairs, grid, limit - 2 * answered)


def divide(queries: int | None, images: int) -> tuple[int, int]:
    """Returns how many pairs of occlusion maps the queries pay for, and their grid: fine before many."""
    for grid in _GRIDS:
        pairs = min(_OCCLUSION_PAIRS, images if queries is None else min(images, queries // (2 * grid * grid)))
        if pairs:
            return pairs, grid
    return 0, 0
