"""What the metadata of a v2 model say: which input takes the image, in what form, and which output answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ....core import AnswerKind, ConfigError, EndpointError
from ....registry import suggest
from ..answers import load_json
from ..options import choice_option, text_option
from ..pixels import LAYOUTS
from .tensors import IMAGE_TYPES, NUMBERS

__all__ = ["ImageInput", "ScoreOutput", "find_input", "find_output", "input_from_options"]


@dataclass(frozen=True)
class ImageInput:
    """The input that takes the image.

    Attributes:
        datatype: One of IMAGE_TYPES.
        layout: "NCHW" or "NHWC"; of no meaning for BYTES.
        leading: Whether the shape begins with the number of images.
        trailing: Whether the shape of BYTES ends with a 1.
        max_batch: The most images that its shape allows; None for any number.
        image_size: (height, width) if the shape says it.
    """

    name: str
    datatype: str = "FP32"
    layout: str = "NCHW"
    leading: bool = True
    trailing: bool = False
    max_batch: int | None = None
    image_size: tuple[int, int] | None = None

    def shape(self, count: int, height: int, width: int) -> list[int]:
        """Returns the shape of the tensor of so many images of one size."""
        if self.datatype == "BYTES":
            one = [1] if self.trailing else []
        else:
            one = [3, height, width] if self.layout == "NCHW" else [height, width, 3]
        return [count, *one] if self.leading else one


@dataclass(frozen=True)
class ScoreOutput:
    """The output that answers.

    Attributes:
        name: Name of the tensor; None for any.
        num_outputs: S if its shape says it.
        is_text: Whether it holds labels instead of numbers.
        labels: S names, if its parameters say them as `pixprompt serve` does.
        answer: What its numbers are, if they say so.
    """

    name: str | None = None
    num_outputs: int | None = None
    is_text: bool = False
    labels: tuple[str, ...] | None = None
    answer: AnswerKind | None = None


def input_from_options(options: Mapping[str, Any]) -> ImageInput | None:
    """Returns the input as the options tell it; None without option "input".

    Raises:
        ConfigError: An option makes no sense.
    """
    name = text_option(options, "input")
    datatype = choice_option(options, "datatype", IMAGE_TYPES) or "FP32"
    layout = choice_option(options, "layout", LAYOUTS) or "NCHW"
    return None if name is None else ImageInput(name, datatype, layout)


def find_input(metadata: Mapping[str, Any], options: Mapping[str, Any]) -> ImageInput:
    """Finds the input of the image among those of the metadata.

    Args:
        metadata: The answer of GET /v2/models/{model}.
        options: "input", "datatype" and "layout" win over what the metadata say.

    Raises:
        ConfigError: An option is needed to choose.
        EndpointError: No input takes RGB images, or there is another one to be filled.
    """
    tensors = _tensors(metadata, "inputs")
    input_name = text_option(options, "input")
    image_input = input_from_options(options)
    if not tensors and image_input is not None:
        return image_input
    if input_name is not None:
        chosen = _named(tensors, input_name, "input")
    elif len(tensors) == 1:
        chosen = tensors[0]
    else:
        raise ConfigError(
            f"the model has {len(tensors)} inputs ({_listing(tensors)}), and one image to fill them: "
            "name the one that takes it with option 'input', if the others may be left out."
        )
    image_input = _as_image(chosen, options)
    if image_input is None:
        raise EndpointError(
            f"no input of the model takes RGB images: {_listing([chosen])}. Expected BYTES, or numbers of a shape such "
            "as [-1, 3, 224, 224]; where the shape leaves the layout open, give option 'layout'."
        )
    return image_input


def find_output(metadata: Mapping[str, Any], options: Mapping[str, Any]) -> ScoreOutput:
    """Finds the output of the scores: the one that is named, else the only one, else the only (N, S) of numbers.

    Raises:
        ConfigError: Option "output" is needed to choose, or names none.
    """
    tensors = _tensors(metadata, "outputs")
    output_name = text_option(options, "output")
    if not tensors:
        return ScoreOutput(output_name)
    if output_name is not None:
        chosen = _named(tensors, output_name, "output")
    else:
        rows = [tensor for tensor in tensors if _is_rows(tensor)]
        candidates = tensors if len(tensors) == 1 else rows
        if len(candidates) != 1:
            raise ConfigError(f"the model has several outputs ({_listing(tensors)}): choose one with option 'output'.")
        chosen = candidates[0]
    size = _shape(chosen)[-1] if _is_rows(chosen) else -1
    scores = ScoreOutput(str(chosen["name"]), size if size > 1 else None, chosen.get("datatype") == "BYTES")
    parameters = chosen.get("parameters")
    if scores.num_outputs is None or not isinstance(parameters, dict):
        return scores
    return replace(
        scores, labels=_labels(parameters.get("labels"), scores.num_outputs), answer=_answer(parameters.get("answer"))
    )


def _labels(text: object, count: int) -> tuple[str, ...] | None:
    """Reads a JSON list in a text; other servers may mean other things by the same word."""
    try:
        labels = load_json(text.encode()) if isinstance(text, str) else None
    except ValueError:
        return None
    if not isinstance(labels, list) or len(labels) != count:
        return None
    return tuple(labels) if all(isinstance(label, str) and label for label in labels) else None


def _answer(text: object) -> AnswerKind | None:
    return next((kind for kind in AnswerKind if kind == text and kind is not AnswerKind.LABEL), None)


def _tensors(metadata: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    tensors = metadata.get(kind) or []
    if not isinstance(tensors, list) or not all(isinstance(item, dict) and item.get("name") for item in tensors):
        raise EndpointError(f"expected a list of named {kind} in the model's metadata, got {tensors!r:.80}.")
    return tensors


def _named(tensors: Sequence[Mapping[str, Any]], name: str, kind: str) -> Mapping[str, Any]:
    names = [str(tensor["name"]) for tensor in tensors]
    if name not in names:
        raise ConfigError(f"the model has no {kind} {name!r}.{suggest(name, names)} It has: {_listing(tensors)}.")
    return tensors[names.index(name)]


def _as_image(tensor: Mapping[str, Any], options: Mapping[str, Any]) -> ImageInput | None:
    name, shape = str(tensor["name"]), _shape(tensor)
    datatype = choice_option(options, "datatype", IMAGE_TYPES) or str(tensor.get("datatype"))
    if datatype not in IMAGE_TYPES:
        return None
    if datatype == "BYTES":
        return _as_files(name, shape)
    if len(shape) not in (3, 4):
        return None
    leading, one = len(shape) == 4, shape[-3:]
    layout = choice_option(options, "layout", LAYOUTS) or _layout(one)
    if layout is None:
        return None
    channels, height, width = one if layout == "NCHW" else (one[2], one[0], one[1])
    if channels not in (3, -1):
        return None
    size = (height, width) if min(height, width) > 0 else None
    return ImageInput(name, datatype, layout, leading, max_batch=_most(shape, leading), image_size=size)


def _as_files(name: str, shape: list[int]) -> ImageInput | None:
    if len(shape) >= 3:  # a server that decodes files for a model of numbers: the shape is that of the numbers
        return ImageInput(name, "BYTES", max_batch=1 if shape[0] == 1 else None)
    if not shape or shape[-1] not in (1, -1):
        return None
    return ImageInput(name, "BYTES", trailing=len(shape) == 2, max_batch=_most(shape, leading=True))


def _layout(one: list[int]) -> str | None:
    if one[0] == 3:
        return "NCHW"
    return "NHWC" if one[2] == 3 else None


def _most(shape: list[int], leading: bool) -> int | None:
    if not leading:
        return 1
    if shape[0] > 1:
        raise EndpointError(
            f"the model takes exactly {shape[0]} images per request, shape {shape}; "
            "serve it with a variable batch dimension, or with 1."
        )
    return 1 if shape[0] == 1 else None


def _is_rows(tensor: Mapping[str, Any]) -> bool:
    shape = _shape(tensor)
    return tensor.get("datatype") in NUMBERS and 1 <= len(shape) <= 2 and shape[-1] != 1


def _shape(tensor: Mapping[str, Any]) -> list[int]:
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise EndpointError(f"expected a shape of whole numbers of tensor {tensor['name']!r}, got {shape!r:.80}.")
    return shape


def _listing(tensors: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{item['name']} {item.get('datatype')} {item.get('shape')}" for item in tensors) or "none"
