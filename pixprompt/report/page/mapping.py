"""View of how answers become labels: the output transform of a prompt file as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core import PixpromptError
from ...outputs.saved import array_from_json
from ..evidence import Evidence
from ..run_files import RunFiles
from .views import View, require

__all__ = ["describe_output", "mapping"]

_TOP = 5
_TEXTS = 3
_ROWS = 200
Weights = npt.NDArray[np.float32]


def mapping(run: RunFiles, evidence: Evidence) -> View:
    """Describes the output transform of the run's prompt."""
    require(run, "prompt.png", run.committee is not None)
    return describe_output(run.committee.output if run.committee else {}, evidence.sources)


def describe_output(output: dict[str, Any], sources: Sequence[str] | None) -> View:
    """Describes an output transform: the sources of each class, the strongest ones, or the texts.

    Args:
        output: The `output` object of a prompt file.
        sources: Names of the model's outputs, where they are known.

    Raises:
        PixpromptError: The object is damaged.
    """
    try:
        classes = [str(name) for name in output["classes"]]
        for form, cells in (("mapping", _pairs), ("matrix", _shares), ("weight", _weights), ("templates", _texts)):
            if form in output:
                rows = list(zip(classes, cells(output, sources), strict=True))
                return {"form": form, "output": output, "rows": rows[:_ROWS], "more": len(rows) - _ROWS, "top": _TOP}
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise PixpromptError(f"the output transform cannot be shown ({type(error).__name__}: {error}).") from error
    return {"form": None, "output": output, "rows": [], "more": 0, "top": _TOP}


def _pairs(output: dict[str, Any], sources: Sequence[str] | None) -> list[str]:
    return [", ".join(_name(int(index), sources) for index in indices) for indices in output["mapping"]]


def _shares(output: dict[str, Any], sources: Sequence[str] | None) -> list[str]:
    return [_strongest(weights, sources, "{:.3f}") for weights in array_from_json(output["matrix"]).T]


def _weights(output: dict[str, Any], sources: Sequence[str] | None) -> list[str]:
    columns = array_from_json(output["weight"]).T
    present = [int(k) for k in output.get("present") or range(len(output["classes"]))]
    by_class = dict(zip(present, columns, strict=True))
    return [
        _strongest(by_class[k], sources, "{:+.3f}") if k in by_class else "had no examples; never chosen"
        for k in range(len(output["classes"]))
    ]


def _texts(output: dict[str, Any], sources: Sequence[str] | None) -> list[str]:
    del sources
    templates = [str(template) for template in output["templates"]]
    more = f" … and {len(templates) - _TEXTS} more" if len(templates) > _TEXTS else ""
    return [
        "; ".join(template.replace("{}", str(word)) for template in templates[:_TEXTS]) + more
        for word in output["words"]
    ]


def _strongest(weights: Weights, sources: Sequence[str] | None, form: str) -> str:
    top = np.argsort(-weights, kind="stable")[:_TOP]
    names = [f"{_name(int(index), sources)} {form.format(weights[index])}" for index in top if weights[index] > 0]
    return ", ".join(names) or "none is positive"


def _name(index: int, sources: Sequence[str] | None) -> str:
    if sources is None or not 0 <= index < len(sources):
        return f"output {index}"
    return f"{sources[index].split(',')[0]} ({index})"
