"""How answers become labels: the output transform of a prompt file as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ...core import PixpromptError
from ...outputs.base import tensor_from_json
from .markup import Child, Html, element, join, table

__all__ = ["mapping_section"]

_TOP = 5
_TEXTS = 3
_ROWS = 200


def mapping_section(output: dict[str, Any], sources: Sequence[str] | None) -> Html:
    """Describes an output transform: the sources of each class, the strongest ones, or the texts.

    Args:
        output: The `output` object of a prompt file.
        sources: Names of the model's outputs, where they are known.

    Raises:
        PixpromptError: The object is damaged or says nothing.
    """
    try:
        classes = [str(name) for name in output["classes"]]
        for key, make in (("mapping", _pairs), ("matrix", _shares), ("weight", _weights), ("templates", _texts)):
            if key in output:
                return make(output, classes, _Names(sources))
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise PixpromptError(f"the output transform cannot be shown ({type(error).__name__}: {error}).") from error
    kind = output.get("kind", "of no kind")
    return element("p", f"The output transform is {kind!r}; it has no table.")


class _Names:
    def __init__(self, sources: Sequence[str] | None) -> None:
        self.sources = sources

    def __call__(self, index: int) -> str:
        known = self.sources is not None and 0 <= index < len(self.sources)
        return f"{self.sources[index].split(',')[0]} ({index})" if known and self.sources else f"output {index}"


def _pairs(output: dict[str, Any], classes: list[str], name: _Names) -> Html:
    rows = [
        (label, ", ".join(name(int(index)) for index in indices))
        for label, indices in zip(classes, output["mapping"], strict=True)
    ]
    told = f"Output transform “{output['kind']}”: each class reads the score of its source, or the mean of several."
    return _titled(told, ("class", "reads"), rows)


def _shares(output: dict[str, Any], classes: list[str], name: _Names) -> Html:
    matrix = tensor_from_json(output["matrix"])
    rows = [(label, _strongest(matrix[:, k], name, "{:.3f}")) for k, label in enumerate(classes)]
    told = (
        f"Output transform “{output['kind']}”: every source speaks for every class. The {_TOP} largest weights of each "
        "class; the weights of a class sum to 1."
    )
    return _titled(told, ("class", "largest weights"), rows)


def _weights(output: dict[str, Any], classes: list[str], name: _Names) -> Html:
    weight = tensor_from_json(output["weight"])
    columns = {int(k): column for column, k in enumerate(output.get("present") or range(len(classes)))}
    rows = [
        (label, _strongest(weight[:, columns[k]], name, "{:+.3f}") if k in columns else "had no examples; never chosen")
        for k, label in enumerate(classes)
    ]
    told = (
        f"Output transform “{output['kind']}”: a linear head on all {len(weight)} numbers of the model's answer. The "
        f"{_TOP} largest weights of each class, in units of the answers as they come."
    )
    return _titled(told, ("class", "largest weights"), rows)


def _strongest(weights: torch.Tensor, name: _Names, form: str) -> str:
    top = weights.topk(min(_TOP, len(weights)))
    pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
    return ", ".join(f"{name(index)} {form.format(value)}" for index, value in pairs if value > 0) or "none is positive"


def _texts(output: dict[str, Any], classes: list[str], name: _Names) -> Html:
    del name
    templates = [str(template) for template in output["templates"]]
    more = f" … and {len(templates) - _TEXTS} more" if len(templates) > _TEXTS else ""
    rows = [
        (label, "; ".join(template.replace("{}", str(word)) for template in templates[:_TEXTS]) + more)
        for label, word in zip(classes, output["words"], strict=True)
    ]
    told = (
        f"Output transform “{output['kind']}”: the image is compared with the text of each class, by cosine similarity "
        f"times {float(output['logit_scale']):.1f}; {len(templates)} template(s)."
    )
    return _titled(told, ("class", "text"), rows)


def _titled(told: str, head: Sequence[Child], rows: Sequence[Sequence[Child]]) -> Html:
    rest = len(rows) - _ROWS
    left = element("p", f"… and {rest} more classes.", class_="remark") if rest > 0 else None
    return join([element("p", told), table(head, rows[:_ROWS], text=(0, 1)), left])
