"""View of the diagnosis of a data set, where the run directory holds one: every number with its conditions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..evidence import Evidence
from ..run_files import RunFiles
from .environment import number
from .views import NothingToShow, View

__all__ = ["describe_diagnosis", "diagnostics"]

_TITLES = {
    "fid": "FID",
    "kid": "KID",
    "cmmd": "CMMD",
    "lpips": "LPIPS diversity",
    "coverage": "reference near the data",
}
_MODEL = (("no prompt", "accuracy", "ci95"), ("linear head", "head", "head_ci95"))


def diagnostics(run: RunFiles, evidence: Evidence) -> View:
    """Shows the diagnosis of the run directory."""
    del evidence
    if run.diagnosis is None:
        why = run.missing.get("diagnosis.json", "the run directory holds none; 'pixprompt diagnose' makes one")
        raise NothingToShow(f"diagnosis.json: {why}.")
    return describe_diagnosis(run.diagnosis)


def describe_diagnosis(values: Mapping[str, Any]) -> View:
    """Describes a diagnosis object (schema 1); what is null has its reason beside it."""
    check, advice = values.get("model"), values.get("advice")
    return {
        "sides": [_side(values.get(key)) for key in ("data", "reference")],
        "headline": _title(str(values["headline"])) if values.get("headline") else None,
        "measures": list(_measures(values)),
        "model": _model(check) if isinstance(check, Mapping) else None,
        "advice": _advice(advice) if isinstance(advice, Mapping) and advice else None,
    }


def _measures(values: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for key in (*_TITLES, *(key for key in values if key.startswith("frechet_"))):
        measure = values.get(key)
        if isinstance(measure, Mapping) and measure:
            value = measure.get("value", measure.get("mean", measure.get("covered")))
            cells = (number(value, 4), _interval(measure.get("ci95")), number(measure.get("floor"), 4))
            yield (_title(key), *cells, _conditions(key, measure, values))
        elif key in values:
            yield (_title(key), "–", "–", "–", f"not measured: {_reason(key, values)}")


def _title(key: str) -> str:
    return _TITLES.get(key, f"Frechet distance, {key.removeprefix('frechet_')}")


def _conditions(key: str, measure: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Names extractor, sizes, resize filter and data type of one number, and any warning about it."""
    general = values if key in ("fid", "kid") else {}  # what stands at the top is said of these two
    extractor = measure.get("extractor") or general.get("extractor")
    resize = measure.get("resize") or measure.get("canvas") or general.get("resize")
    parts = [str(part) for part in (extractor, measure.get("dtype"), resize) if part]
    own, other = _size(values.get("data")), _size(values.get("reference"))
    if "pairs" in measure:
        parts.append(f"{_whole(measure['pairs'])} pairs of {_whole(measure.get('images', own))} images")
    else:
        parts.append(f"{_whole(measure.get('n', own))} against {_whole(measure.get('n_reference', other))} images")
    if "within" in measure:
        parts.append(f"of the data {number(measure['within'], 4)} lies near the reference")
    if measure.get("classes") is not None:
        classes, total = number(measure["classes"], 4), _whole(measure.get("num_classes"))
        parts.append(f"nearest images in {classes} of the {total} classes of the reference")
    return "; ".join([*parts, *(str(measure[key]) for key in ("note", "reason") if measure.get(key))])


def _reason(key: str, values: Mapping[str, Any]) -> str:
    reasons = values.get("reasons")
    reason = reasons.get(key) if isinstance(reasons, Mapping) else None
    return str(reason or values.get(f"{key}_reason") or "the file gives no reason")


def _model(check: Mapping[str, Any]) -> View:
    rows = [(title, number(check[key], 3), _interval(check.get(interval)))
            for title, key, interval in _MODEL if check.get(key) is not None]  # fmt: skip
    return {"name": check.get("model"), "images": _whole(check.get("images")), "rows": rows}


def _advice(advice: Mapping[str, Any]) -> View:
    reasons, level = advice.get("reasons"), advice.get("level")
    return {
        "verdict": advice.get("verdict"),
        "queries": _whole(advice["queries"]) if advice.get("queries") else None,
        "gain": number(advice.get("expected_gain"), 3),
        "over": advice.get("over", "no prompt"),
        "level": f"{level:.0%} interval" if isinstance(level, float) else "interval",
        "interval": _interval(advice.get("interval")),
        "reasons": reasons if isinstance(reasons, list) else [],
    }


def _interval(value: Any) -> str:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return "–"
    return f"{number(value[0], 4)} to {number(value[1], 4)}"


def _side(value: Any) -> str:
    if not isinstance(value, Mapping):
        return "not said"
    return f"{value.get('name') or 'not said'} ({_size(value)} images)"


def _size(value: Any) -> str:
    return _whole(value.get("n")) if isinstance(value, Mapping) else "?"


def _whole(value: Any) -> str:
    return number(value, 4) if isinstance(value, (int, float)) else str(value if value is not None else "?")
