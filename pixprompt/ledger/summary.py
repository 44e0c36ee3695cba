"""What a ledger says, read without writing to it, also while a run does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..core import PixpromptError
from .ledger import HITS, IN_DOUBT, LABELS, PER_PREDICTION, PRICE
from .sqlite_file import SCHEMA, LedgerFile

__all__ = ["read_ledger"]

_TOTALS = f"""
SELECT coalesce(sum(images * billed), 0) AS queries, count(*) AS requests,
    coalesce(sum(answered IS NOT NULL AND failure IS NULL), 0) AS answered, count(failure) AS failed,
    count(retry_of) AS retried, coalesce(sum({IN_DOUBT}), 0) AS in_doubt,
    coalesce(sum(images * {IN_DOUBT}), 0) AS images_in_doubt,
    coalesce(sum(images * (resolved IS 'skip')), 0) AS skipped,
    coalesce(sum(images * (billed = 0)), 0) AS not_billed, coalesce(sum(bytes_sent), 0) AS bytes_sent,
    coalesce(sum(bytes_received), 0) AS bytes_received, min(asked) AS first, max(coalesce(answered, asked)) AS last,
    sum(max(coalesce(seconds, answered - asked), 0)) AS waiting FROM requests
"""
_ANSWERS = "SELECT count(*) FROM queries WHERE outputs IS NOT NULL AND outputs IS NOT X'2D'"
_SECONDS = """
SELECT max(coalesce(seconds, answered - asked), 0) AS took FROM requests WHERE answered IS NOT NULL AND failure IS NULL
ORDER BY took
"""
_HOURS = f"""
SELECT strftime('%Y-%m-%dT%H:00Z', asked, 'unixepoch') AS hour, count(*) AS requests,
    coalesce(sum(images * billed), 0) AS queries, count(failure) AS failed, sum({IN_DOUBT}) AS in_doubt
FROM requests GROUP BY hour ORDER BY hour
"""
_STATUSES = f"""
SELECT CASE WHEN failure IS NOT NULL THEN coalesce(kind, 'failed') WHEN {IN_DOUBT} THEN 'in doubt' ELSE 'answered' END
    AS outcome, status, count(*) AS requests, sum(images) AS images FROM requests
GROUP BY outcome, status ORDER BY outcome, status
"""
_REQUESTS = f"""
SELECT id AS request, retry_of, images, asked, CASE WHEN failure IS NOT NULL THEN coalesce(kind, 'failed')
    WHEN {IN_DOUBT} THEN 'in doubt' ELSE 'answered' END AS outcome, status,
    coalesce(seconds, answered - asked) AS seconds, bytes_sent, bytes_received, billed, resolved, failure FROM requests
"""


def read_ledger(path: str | Path, *, price_per_1000: float | None = None, requests: bool = False) -> dict[str, Any]:
    """Reads a ledger of any run.

    Args:
        price_per_1000: Price of 1,000 queries; None for the one that the run was given.
        requests: Whether to list each request.

    Returns:
        One JSON object: totals, requests in doubt by name, bytes, cost, times, and tables by hour and by status.

    Raises:
        PixpromptError: It is no ledger.
    """
    path = Path(path)
    if not path.is_file():
        raise PixpromptError(f"there is no ledger {path}. A run with a budget writes one: RUN/ledger.sqlite.")
    file = LedgerFile(path, read_only=True)
    try:
        with file.reported():
            file.execute("BEGIN")  # one state for all that follows, whatever is written meanwhile
            return _report(file, path, price_per_1000, requests)
    except (TypeError, ValueError, OverflowError) as error:
        raise PixpromptError(
            f"{path} is damaged: a value in it cannot be read ({error}). Bring back a copy."
        ) from error
    finally:
        file.close()


def _report(file: LedgerFile, path: Path, price_per_1000: float | None, requests: bool) -> dict[str, Any]:
    (totals,) = _rows(file, _TOTALS)
    meta = _read_meta(file)
    if price_per_1000 is None:
        price_per_1000 = meta.price_per_1000
    times = [row["took"] for row in _rows(file, _SECONDS)]
    doubts = _rows(file, f"{_REQUESTS} WHERE {IN_DOUBT} ORDER BY id")
    return {
        "schema": 1,
        "path": str(path),
        "ledger_schema": SCHEMA,
        "endpoints": meta.endpoints,
        **{name: totals[name] for name in ("queries", "requests", "answered", "failed", "retried")},
        "answers": file.execute(_ANSWERS).fetchone()[0],
        "cached": meta.cached,
        "not_billed": totals["not_billed"],
        "skipped": totals["skipped"],
        "in_doubt": {
            "requests": totals["in_doubt"],
            "images": totals["images_in_doubt"],
            "named": [_doubt(row) for row in doubts],
        },
        "bytes": {"sent": totals["bytes_sent"], "received": totals["bytes_received"]},
        "labels_per_query": meta.labels_per_query,
        "queries_per_prediction": meta.queries_per_prediction,
        "price_per_1000": price_per_1000,
        "cost": None if price_per_1000 is None else round(totals["queries"] * price_per_1000 / 1000, 4),
        "time": _times(totals, times),
        "by_hour": _rows(file, _HOURS),
        "by_status": _rows(file, _STATUSES),
        **({"list": [_listed(row) for row in _rows(file, f"{_REQUESTS} ORDER BY id")]} if requests else {}),
    }


@dataclass(frozen=True)
class _Meta:
    """What the table `meta` says."""

    price_per_1000: float | None
    endpoints: list[dict[str, Any]]
    cached: int
    labels_per_query: int | None
    queries_per_prediction: float | None


def _read_meta(file: LedgerFile) -> _Meta:
    meta = {row["name"]: row["value"] for row in _rows(file, "SELECT name, value FROM meta")}
    price, each = (float(meta[name]) if name in meta else None for name in (PRICE, PER_PREDICTION))
    endpoints = [dict(json.loads(text)) for name, text in sorted(meta.items()) if name.startswith("endpoint_")]
    labels = int(meta[LABELS]) if LABELS in meta else None
    return _Meta(price, endpoints, int(meta.get(HITS, 0)), labels, each)


def _rows(file: LedgerFile, query: str) -> list[dict[str, Any]]:
    cursor = file.execute(query)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _times(totals: dict[str, Any], times: list[float]) -> dict[str, Any]:
    """Waiting counts each request for itself, so it may exceed the time from first to last."""
    ranked = [round(times[round(share * (len(times) - 1))], 6) if times else None for share in (0.5, 0.95)]
    return {
        "first": _date(totals["first"]),
        "last": _date(totals["last"]),
        "waiting": round(totals["waiting"] or 0.0, 3),
        "median": ranked[0],
        "p95": ranked[1],
    }


def _doubt(row: dict[str, Any]) -> dict[str, Any]:
    named = {"request": row["request"], "images": row["images"], "asked": _date(row["asked"])}
    return {**named, "decided": row["resolved"]}


def _listed(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "asked": _date(row["asked"]), "billed": bool(row["billed"])}


def _date(seconds: object) -> str | None:
    if seconds is None:
        return None
    if not isinstance(seconds, int | float):
        raise ValueError(f"expected a date, got {seconds!r:.40}")
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
