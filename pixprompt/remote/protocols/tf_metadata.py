"""What the metadata of TensorFlow Serving say about a signature: its input and its output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...core import ConfigError, EndpointError
from ...registry import suggest

__all__ = ["Signature", "find_signature"]

_FLOATS = {"DT_FLOAT": "FP32", "DT_HALF": "FP32", "DT_DOUBLE": "FP32", "DT_BFLOAT16": "FP32"}
_WHOLES = {f"DT_{sign}INT{bits}": "UINT8" for sign in ("", "U") for bits in (8, 16, 32, 64)}
_TYPES = {**_FLOATS, **_WHOLES, "DT_STRING": "BYTES"}


@dataclass(frozen=True)
class Signature:
    """How a signature takes images and answers.

    Attributes:
        input: Name of the input; None where it stays unsaid.
        datatype: "FP32", "UINT8" (any whole numbers) or "BYTES".
        layout: "NCHW" or "NHWC" where the shape tells.
        image_size: (height, width) where the shape tells.
        max_batch: 1 where the shape allows no more.
        num_outputs: S where there is one output of numbers, of shape (N, S).
    """

    input: str | None = None
    datatype: str = "FP32"
    layout: str | None = None
    image_size: tuple[int, int] | None = None
    max_batch: int | None = None
    num_outputs: int | None = None


def find_signature(metadata: Mapping[str, Any], name: str, wanted: str | None, output: str | None) -> Signature | None:
    """Reads the signature that is used from the answer of GET .../metadata.

    Args:
        metadata: The answer.
        name: Of the signature.
        wanted: Option "input".
        output: Option "output".

    Returns:
        None where the answer does not hold signatures.

    Raises:
        ConfigError: There is no such signature, input or output, or there are several to choose from.
        EndpointError: Its input takes no RGB images.
    """
    signatures = _at(metadata, "metadata", "signature_def", "signature_def")
    if not signatures:
        return None
    if name not in signatures:
        known = ", ".join(signatures)
        raise ConfigError(f"the model has no signature {name!r}.{suggest(name, signatures)} It has: {known}.")
    inputs, outputs = _at(signatures, name, "inputs"), _at(signatures, name, "outputs")
    if wanted is None and len(inputs) > 1:
        raise ConfigError(f"signature {name!r} has several inputs: choose one of {', '.join(inputs)} as 'input'.")
    chosen = wanted or next(iter(inputs), None)
    if chosen not in inputs:
        known = ", ".join(inputs) or "none"
        raise ConfigError(f"signature {name!r} has no input {chosen!r}; it has: {known}. Give option 'input'.")
    if outputs and (output not in outputs if output else len(outputs) > 1):
        raise ConfigError(f"signature {name!r} has the outputs {', '.join(outputs)}: choose one as option 'output'.")
    return _signature(str(chosen), inputs[chosen], outputs, output)


def _signature(name: str, tensor: object, outputs: dict[str, Any], output: str | None) -> Signature:
    tensor = tensor if isinstance(tensor, dict) else {}
    datatype, shape = _TYPES.get(str(tensor.get("dtype"))), _shape(tensor)
    scores = _shape(outputs.get(output or "", outputs[next(iter(outputs))] if len(outputs) == 1 else {}))
    num_outputs = scores[1] if scores is not None and len(scores) == 2 and scores[1] > 1 else None
    max_batch = 1 if shape and shape[0] == 1 else None
    if datatype == "BYTES" or (datatype and not shape):
        return Signature(name, datatype, max_batch=max_batch, num_outputs=num_outputs)
    layout = None if shape is None or len(shape) != 4 else "NHWC" if shape[3] == 3 else "NCHW"
    if shape is None or datatype is None or layout is None or shape[3 if layout == "NHWC" else 1] not in (3, -1):
        raise EndpointError(
            f"input {name!r} takes {tensor.get('dtype')} of shape {shape}: expected texts, or numbers of a shape such "
            "as [-1, 224, 224, 3]. Choose another with option 'input' or 'signature'."
        )
    height, width = shape[1:3] if layout == "NHWC" else shape[2:4]
    size = (height, width) if min(height, width) > 0 else None
    known_layout = layout if shape[3 if layout == "NHWC" else 1] == 3 else None
    return Signature(name, datatype, known_layout, size, max_batch, num_outputs)


def _shape(tensor: object) -> list[int] | None:
    dimensions = _at(tensor, "tensor_shape").get("dim")
    if not isinstance(dimensions, list):
        return None
    try:
        return [int(dimension["size"]) for dimension in dimensions]
    except (KeyError, OverflowError, TypeError, ValueError):
        return None


def _at(value: object, *keys: str) -> dict[str, Any]:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}
