"""A prompt and its output transform as ONNX networks. The package `onnx` is imported when one is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core import AnswerKind
from ..outputs.saved import DOUBT, rest_of
from ..prompt import Prompt
from .output_table import OutputTable

__all__ = ["output_model", "prompt_model"]

_OPSET = 18
_IR_VERSION = 9


def prompt_model(page: Prompt) -> bytes:
    """Returns a network from `canvas` (N, H, W, 3) uint8 to `prompted` of the same shape, exact to the byte."""
    graph = _Graph()
    pixels = graph.add("Cast", ["canvas"], to="INT32")
    if page.blend == "add":
        sums = graph.add("Add", [pixels, graph.constant(page.delta.astype(np.int32))])
        limits = [graph.constant(np.array(limit, np.int32)) for limit in (0, 255)]
        mixed = graph.add("Clip", [sums, *limits])
    else:
        alpha = page.rgba[..., 3:].astype(np.int32)
        covered = graph.add("Mul", [pixels, graph.constant(255 - alpha)])
        mixed = graph.add("Add", [covered, graph.constant(page.rgba[..., :3] * alpha + 128)])
        byte = graph.constant(np.array(256, np.int32))  # x / 255 rounded to nearest, as `Prompt.overlay` does it
        mixed = graph.add("Div", [graph.add("Add", [mixed, graph.add("Div", [mixed, byte])]), byte])
    graph.add("Cast", [mixed], "prompted", to="UINT8")
    shape = ["N", *page.canvas.size, 3]
    return graph.model([("canvas", "UINT8", shape)], [("prompted", "UINT8", shape)])


def output_model(table: OutputTable) -> bytes:
    """Returns a network from `outputs` (N, V * S) float32 to `logits` and `probabilities` (N, K).

    The class names stand in its metadata, under `classes`, one a line.
    """
    graph, size, num_classes = _Graph(), table.views * table.num_outputs, len(table.classes)
    logits = graph.add("MatMul", [_scores(graph, table), graph.constant(table.weight.astype(np.float32))])
    if len(table.present) == num_classes:
        graph.add("Add", [logits, graph.constant(table.bias.astype(np.float32))], "logits")
    else:
        logits = graph.add("Add", [logits, graph.constant(table.bias.astype(np.float32))])
        least = graph.add("ReduceMin", [logits, graph.constant(np.array([1]))], keepdims=1)
        lower = graph.add("Sub", [least, graph.constant(np.array(1, np.float32))])
        columns = [table.present.index(k) if k in table.present else len(table.present) for k in range(num_classes)]
        joined = graph.add("Concat", [logits, lower], axis=1)
        graph.add("Gather", [joined, graph.constant(np.array(columns))], "logits", axis=1)
    graph.add("Softmax", ["logits"], "probabilities", axis=1)
    results = [(name, "FLOAT", ["N", num_classes]) for name in ("logits", "probabilities")]
    return graph.model([("outputs", "FLOAT", ["N", size])], results, classes="\n".join(table.classes))


def _scores(graph: _Graph, table: OutputTable) -> str:
    """Adds what `outputs.scores.to_scores` does to each answer, and returns its name."""
    if table.answer in (AnswerKind.LOGITS, AnswerKind.EMBEDDINGS):
        return "outputs"
    if table.answer is AnswerKind.PROBABILITIES:
        return graph.add("Log", [graph.add("Max", ["outputs", graph.number(table.floor)])])
    if table.answer is AnswerKind.LABEL:
        doubted = rest_of(table.num_outputs)
        weighed = graph.add("Mul", ["outputs", graph.number(1 - DOUBT - doubted)])
        return graph.add("Log", [graph.add("Add", [weighed, graph.number(doubted)])])
    rows = graph.add("Reshape", ["outputs", graph.constant(np.array([-1, table.num_outputs]))])
    across = graph.constant(np.array([1]))
    named = graph.add("Greater", [rows, graph.number(0)])
    total = graph.add("ReduceSum", [rows, across], keepdims=1)
    silent = graph.add("Where", [named, graph.number(0), graph.number(1)])
    num_silent = graph.add("Max", [graph.add("ReduceSum", [silent, across], keepdims=1), graph.number(1)])
    rest = graph.add("Div", [graph.add("Sub", [graph.number(1), total]), num_silent])
    share = graph.add("Max", [rest, graph.number(table.floor)])
    share = graph.add("Where", [graph.add("Greater", [total, graph.number(1)]), graph.number(table.floor), share])
    least = graph.add("ReduceMin", [graph.add("Where", [named, rows, graph.number(1)]), across], keepdims=1)
    filled = graph.add("Where", [named, rows, graph.add("Min", [share, least])])
    whole = graph.constant(np.array([-1, table.views * table.num_outputs]))
    return graph.add("Reshape", [graph.add("Log", [filled]), whole])


class _Graph:
    """Nodes and constants as they are added; names are given out in order."""

    def __init__(self) -> None:
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper

        self.onnx: Any = onnx
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, values: npt.NDArray[Any]) -> str:
        """Adds an array and returns its name."""
        name = f"c{len(self._constants)}"
        self._constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def number(self, value: float) -> str:
        """Adds a float32 and returns its name."""
        return self.constant(np.array(value, np.float32))

    def add(self, operator: str, inputs: Sequence[str], name: str | None = None, **attributes: Any) -> str:
        """Adds a node and returns the name of its output."""
        name = name or f"n{len(self._nodes)}"
        if "to" in attributes:
            attributes["to"] = getattr(self.onnx.TensorProto, attributes["to"])
        self._nodes.append(self.onnx.helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def model(self, inputs: Sequence[Any], outputs: Sequence[Any], **metadata: str) -> bytes:
        """Returns the file of the network, checked.

        Args:
            inputs: (name, type, shape) of each.
            outputs: The same.
            metadata: Further texts of the file.
        """
        helper = self.onnx.helper
        ends = [
            [
                helper.make_tensor_value_info(name, getattr(self.onnx.TensorProto, kind), shape)
                for name, kind, shape in end
            ]
            for end in (inputs, outputs)
        ]
        graph = helper.make_graph(self._nodes, "pixprompt", *ends, self._constants)
        opsets = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(graph, producer_name="pixprompt", opset_imports=opsets, ir_version=_IR_VERSION)
        helper.set_model_props(model, metadata)
        self.onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString()
        return content
