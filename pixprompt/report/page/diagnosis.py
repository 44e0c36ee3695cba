"""The diagnosis of a data set, where the run directory holds one: every number with what it was taken in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .markup import Html, element, join, table
from .words import number

__all__ = ["diagnosis_section"]

_TITLES = {
    "fid": "FID",
    "kid": "KID",
    "cmmd": "CMMD",
    "lpips": "LPIPS diversity",
    "coverage": "reference near the data",
}
_HEAD = ("measure", "value", "95% interval", "floor", "taken in")
_MODEL = (("no prompt", "accuracy", "ci95"), ("linear head", "head", "head_ci95"))


def diagnosis_section(values: Mapping[str, Any]) -> Html:
    """Shows a diagnosis object (schema 1); what is null shows the reason beside it."""
    sides = [_side(values.get(key)) for key in ("data", "reference")]
    told = f"{sides[0]} against {sides[1]}. The floor is what two halves of one set are apart, by sample size alone; "
    told += f"the number to read is {_title(str(values['headline']))}." if values.get("headline") else "read it first."
    measures = table(_HEAD, list(_measures(values)), text=(0, 4))
    return join([element("p", told), measures, _model(values.get("model")), _advice(values.get("advice"))])


def _measures(values: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    others = [key for key in values if key.startswith("frechet_")]
    for key in (*_TITLES, *others):
        found = values.get(key)
        if isinstance(found, Mapping) and found:
            value = found.get("value", found.get("mean", found.get("covered")))
            cells = (number(value, 4), _interval(found.get("ci95")), number(found.get("floor"), 4))
            yield (_title(key), *cells, _taken_in(key, found, values))
        elif key in values:
            yield (_title(key), "–", "–", "–", f"not measured: {_reason(key, values)}")


def _title(key: str) -> str:
    return _TITLES.get(key, f"Frechet distance, {key.removeprefix('frechet_')}")


def _taken_in(key: str, found: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Names extractor, sizes, resize filter and data type of one number, and any warning about it."""
    general = values if key in ("fid", "kid") else {}  # what stands at the top is said of these two
    features = found.get("extractor") or general.get("extractor")
    resize = found.get("resize") or found.get("canvas") or general.get("resize")
    told = [str(part) for part in (features, found.get("dtype"), resize) if part]
    if "pairs" in found:
        told.append(
            f"{_plain(found['pairs'])} pairs of {_plain(found.get('images', _size(values.get('data'))))} images"
        )
    else:
        own = (found.get("n", _size(values.get("data"))), found.get("n_reference", _size(values.get("reference"))))
        told.append(f"{_plain(own[0])} against {_plain(own[1])} images")
    if "within" in found:
        told.append(f"of the data {number(found['within'], 4)} lies near the reference")
    if found.get("classes") is not None:
        classes, total = number(found["classes"], 4), _plain(found.get("num_classes"))
        told.append(f"nearest images in {classes} of the {total} classes of the reference")
    return "; ".join([*told, *(str(found[key]) for key in ("note", "reason") if found.get(key))])


def _reason(key: str, values: Mapping[str, Any]) -> str:
    reasons = values.get("reasons")
    told = reasons.get(key) if isinstance(reasons, Mapping) else None
    return str(told or values.get(f"{key}_reason") or "the file gives no reason")


def _model(check: Any) -> Html | None:
    if not isinstance(check, Mapping):
        return None
    rows = [
        (title, number(check[key], 3), _interval(check.get(interval)))
        for title, key, interval in _MODEL
        if check.get(key) is not None
    ]
    told = f"The model {check.get('model')} on {_plain(check.get('images'))} labelled images, by cross-validation:"
    return join([element("p", told), table(("", "accuracy", "95% interval"), rows)])


def _advice(advice: Any) -> Html | None:
    if not isinstance(advice, Mapping) or not advice:
        return None
    queries = f" with {_plain(advice['queries'])} queries" if advice.get("queries") else ""
    told = [element("strong", f"Advice: {advice.get('verdict')}{queries}.")]
    if advice.get("expected_gain") is not None:
        level = f"{advice['level']:.0%} interval" if isinstance(advice.get("level"), float) else "interval"
        gain = (
            f" Expected gain {number(advice['expected_gain'], 3)} points, {level} {_interval(advice.get('interval'))}."
        )
        told.append(element("span", gain))
    reasons = advice.get("reasons")
    listed = element("ul", *(element("li", str(each)) for each in reasons)) if isinstance(reasons, list) else None
    return join([element("p", *told), listed])


def _interval(value: Any) -> str:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return "–"
    return f"{number(value[0], 4)} to {number(value[1], 4)}".replace("-", "−")


def _side(value: Any) -> str:
    if not isinstance(value, Mapping):
        return "not said"
    return f"{value.get('name') or 'not said'} ({_size(value)} images)"


def _size(value: Any) -> str:
    return _plain(value.get("n")) if isinstance(value, Mapping) else "?"


def _plain(value: Any) -> str:
    return number(value, 4) if isinstance(value, (int, float)) else str(value if value is not None else "?")
