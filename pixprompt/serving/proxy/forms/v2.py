"""Requests of the Open Inference Protocol v2, as JSON and with the binary extension."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ....remote.messages import Incoming
from ....remote.protocols.v2.reply import LENGTH_HEADER, image_rows, read_output
from ....remote.protocols.v2.tensors import IMAGE_TYPES, NUMBERS, pack_bytes, split_parts
from ....replies.parse import Reply
from ...messages import Request, Response
from ...outputs import Output, OutputOptions, outputs_response
from ...tensors import split_elements
from ...v2_service import json_length
from ..prompter import UnknownForm
from .form import Form, JsonText, Prompted, Shares, from_base64, path_of, to_base64

__all__ = ["V2Form"]

_PATH = re.compile(r"(?:^|.*/)v2/models/[^/]+(?:/versions/[^/]+)?/infer/?")


class V2Form(Form):
    """The one input with images is prompted: image files, or numbers of a shape such as [N, 3, H, W]."""

    name = "v2"

    def matches(self, request: Request) -> bool:
        """By its path."""
        return _PATH.fullmatch(path_of(request)) is not None

    def prompt(self, request: Request) -> Prompted:
        """Replaces the data of the input, and its shape by that of the canvas."""
        length = json_length(request)
        message = JsonText(self.prompter, request.body[:length])
        entries = _entries(message.value)
        try:
            parts = split_parts(entries, request.body[length:])
        except ValueError as error:
            raise UnknownForm(str(error)) from error
        place = self._place(entries)
        entry, raw = entries[place], parts[place]
        if entry["datatype"] == "BYTES":
            parts[place] = _prompt_files(message, entry, raw)
        else:
            parts[place] = _prompt_numbers(message, entry, raw)
        head, tail = message.encode(), b"".join(part for part in parts if part is not None)
        binary = any(part is not None for part in parts)
        headers = {LENGTH_HEADER: str(len(head))} if binary else {}
        return Prompted(head + tail, tuple(message.digests), headers)

    def read(self, request: Request, incoming: Incoming, count: int) -> Sequence[Reply | None]:
        """Reads the output of the scores."""
        datatype, values = read_output(incoming, self.options.output)
        if datatype == "BYTES":
            return [None] * count
        return list(image_rows(values, count, incoming))

    def write(self, request: Request, incoming: Incoming, shares: Shares, classes: Sequence[str]) -> Response:
        """Puts the probabilities into the output of the scores, and labels beside it."""
        length = incoming.headers.get(LENGTH_HEADER.lower())
        header = json.loads(incoming.body[: int(length or len(incoming.body))])
        names = [output["name"] for output in header["outputs"]]
        name = names[0] if len(names) == 1 else str(self.options.output)
        labels = [classes[index] for index in shares.argmax(1)]
        outputs = [Output(name, shares.astype(np.float32)), Output("label", labels)]
        options = {output.name: OutputOptions(binary=length is not None) for output in outputs}
        fields = {key: header[key] for key in ("model_name", "model_version", "id") if key in header}
        return outputs_response({**fields, "parameters": {"labels": json.dumps(list(classes))}}, outputs, options)

    def _place(self, entries: Sequence[dict[str, Any]]) -> int:
        """Returns the number of the input that holds the images."""
        name = self.options.input
        places = [
            index
            for index, entry in enumerate(entries)
            if (entry.get("name") == name if name else _holds_images(entry))
        ]
        if len(places) != 1:
            raise UnknownForm(f"{len(places)} of the inputs hold images, expected 1; say which it is with --input")
        return places[0]


def _entries(message: dict[str, Any]) -> list[dict[str, Any]]:
    inputs = message.get("inputs")
    if not isinstance(inputs, list) or not all(isinstance(entry, dict) for entry in inputs):
        raise UnknownForm("inputs is a list of objects")
    return inputs


def _holds_images(entry: dict[str, Any]) -> bool:
    shape, datatype = entry.get("shape"), entry.get("datatype")
    if not isinstance(shape, list) or not all(type(size) is int and size > 0 for size in shape):
        return False
    if datatype == "BYTES":
        return len(shape) in (1, 2)
    return datatype in IMAGE_TYPES and len(shape) in (3, 4) and 3 in (shape[-1], shape[-3])


def _layout(entry: dict[str, Any]) -> str:
    """Returns NCHW or NHWC; where both ends of a shape are 3, pixels have the channels last, numbers first."""
    first, last = entry["shape"][-3] == 3, entry["shape"][-1] == 3
    return "NCHW" if first and not (last and entry["datatype"] == "UINT8") else "NHWC"


def _prompt_files(message: JsonText, entry: dict[str, Any], raw: bytes | None) -> bytes | None:
    if raw is not None:
        prompted = pack_bytes(message.file(content) for content in split_elements(memoryview(raw)))
        entry["parameters"]["binary_data_size"] = len(prompted)
        return prompted
    data = entry.get("data")
    if not isinstance(data, list):
        raise UnknownForm("BYTES data are a list of image files in base64")
    entry["data"] = [
        [to_base64(message.file(from_base64(inner))) for inner in item]
        if isinstance(item, list)
        else to_base64(message.file(from_base64(item)))
        for item in data
    ]
    return None


def _prompt_numbers(message: JsonText, entry: dict[str, Any], raw: bytes | None) -> bytes | None:
    if not _holds_images(entry):
        raise UnknownForm("an input with images has a shape such as [N, 3, H, W] and a datatype for it")
    layout, shape, kind = _layout(entry), entry["shape"], NUMBERS[entry["datatype"]]
    try:
        numbers = np.asarray(entry.get("data")) if raw is None else np.frombuffer(raw, kind)
        if numbers.dtype.kind not in "iuf":
            raise ValueError
        images = numbers.reshape(-1, *shape[-3:]) if numbers.size == np.prod(shape) else numbers.reshape(shape)
    except ValueError as error:
        raise UnknownForm(f"the data of an input are no numbers of the shape {shape}") from error
    whole = np.dtype(kind).kind in "iu"
    images = images.transpose(0, 2, 3, 1) if layout == "NCHW" else images
    pixels = message.pixels(images if whole else images.astype(np.float64))
    one = [3, *pixels.shape[1:3]] if layout == "NCHW" else [*pixels.shape[1:3], 3]
    entry["shape"] = [*shape[:-3], *one]
    if raw is None:
        entry["data"] = message.numbers(pixels, layout, whole=whole, nested=False)
        return None
    sent = pixels if whole else message.prompter.to_numbers(pixels)
    packed = np.ascontiguousarray(sent.transpose(0, 3, 1, 2) if layout == "NCHW" else sent).astype(kind).tobytes()
    entry["parameters"]["binary_data_size"] = len(packed)
    return packed
