"""What a form of request is: how the images in it are found and prompted, and how its answers are read and written."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ....canvas import Pixels
from ....remote.messages import Incoming
from ....replies.parse import Reply
from ...messages import Request, Response, read_json
from ..prompter import Prompter, UnknownForm

__all__ = ["Form", "FormOptions", "JsonText", "Prompted", "Shares", "from_base64", "path_of", "to_base64"]

Shares = npt.NDArray[np.float64]
"""Probabilities (N, K) of the user's classes."""
_DATA_URL = re.compile(r"data:image/[\w.+-]+;base64,", re.ASCII)


@dataclass(frozen=True)
class FormOptions:
    """What a request may leave open.

    Attributes:
        input: Name of the tensor that holds the images, where there are several.
        output: Name of the tensor that holds the scores, where there are several.
        strict: Whether images that cannot be prompted are refused; else they pass.
        num_labels: Labels that an answer must name to be mapped; None where answers are not mapped.
    """

    input: str | None = None
    output: str | None = None
    strict: bool = False
    num_labels: int | None = None


@dataclass(frozen=True)
class Prompted:
    """A client's request with the prompt on its images.

    Attributes:
        digests: SHA-256 of each image as it is sent: of the file, or of the 8-bit pixels (H, W, 3).
        headers: Headers that differ from the client's.
    """

    body: bytes
    digests: tuple[bytes, ...]
    headers: Mapping[str, str] = field(default_factory=dict)


class Form(ABC):
    """One form of request.

    Args:
        options: What requests may leave open.
    """

    name: str

    def __init__(self, prompter: Prompter, options: FormOptions) -> None:
        self.prompter, self.options = prompter, options

    @abstractmethod
    def matches(self, request: Request) -> bool:
        """Whether a request says that it has this form."""

    @abstractmethod
    def prompt(self, request: Request) -> Prompted:
        """Puts the prompt on the images of a request; everything else in it stays as it is.

        Raises:
            UnknownForm, RequestError: It has another form after all, or an image cannot be read.
        """

    @abstractmethod
    def read(self, request: Request, incoming: Incoming, count: int) -> Sequence[Reply | None]:
        """Reads the answers of a reply, one per image; None where there is none.

        Raises:
            Fault: It cannot be read.
        """

    def write(self, request: Request, incoming: Incoming, shares: Shares, classes: Sequence[str]) -> Response:
        """Returns a reply of the same form with probabilities of the user's classes.

        Raises:
            UnknownForm: The form has no place for them.
        """
        raise UnknownForm(f"answers of the form {self.name} are not mapped")


def path_of(request: Request) -> str:
    """Returns the path of a request without its query."""
    return request.path.partition("?")[0]


def from_base64(text: object) -> bytes:
    """Returns the bytes of a text in base64, or of a data URL with an image.

    Raises:
        UnknownForm: It is neither.
    """
    if not isinstance(text, str):
        raise UnknownForm(f"an image file is a text in base64, got {type(text).__name__}")
    url = _DATA_URL.match(text)
    try:
        return base64.b64decode(text[url.end() :] if url else text, validate=True)
    except ValueError as error:
        raise UnknownForm("an image file is a text in base64; one is not") from error


def to_base64(content: bytes) -> str:
    """Returns bytes as a text in base64."""
    return base64.b64encode(content).decode("ascii")


class JsonText:
    """JSON whose images are replaced: texts and numbers, written without holding the interpreter up.

    Args:
        body: The JSON of a request.

    Attributes:
        value: The object, in which replacements are put.
        digests: Digests of the prompted images; see `Prompted`.

    Raises:
        RequestError: It is no JSON object.
    """

    def __init__(self, prompter: Prompter, body: bytes) -> None:
        self.value = read_json(body)
        self.prompter = prompter
        self._mark = secrets.token_hex(8)
        self._numbers: list[str] = []
        self.digests: list[bytes] = []
        decimals = [[repr(value) for value in row] for row in prompter.values.decimals.tolist()]
        self._texts = {False: np.array(decimals, object), True: np.array([[str(i)] * 3 for i in range(256)], object)}

    def file(self, content: bytes) -> bytes:
        """Returns an image file with the prompt on it, and takes note of it."""
        prompted = self.prompter.file(content)
        self.digests.append(hashlib.sha256(prompted).digest())
        return prompted

    def pixels(self, numbers: npt.NDArray[Any]) -> Pixels:
        """Returns images (N, h, w, 3), given as numbers, as prompted pixels, and takes note of them."""
        prompted = self.prompter.pixels(self.prompter.to_pixels(numbers))
        self.digests += [hashlib.sha256(image.tobytes()).digest() for image in prompted]
        return prompted

    def numbers(self, pixels: Pixels, layout: str, *, whole: bool, nested: bool, alone: bool = False) -> str:
        """Returns what stands for the numbers of pixels (N, H, W, 3) in the object.

        Args:
            layout: "NHWC" or "NCHW".
            whole: As 0 to 255, and not by the range.
            nested: As lists in lists, and not as one list.
            alone: Without the list around one image.
        """
        parts = []
        for image in pixels:
            texts = self._texts[whole][image, np.arange(3)]
            texts = texts.transpose(2, 0, 1) if layout == "NCHW" else texts
            parts.append(_nested(texts.tolist()) if nested else ",".join(texts.ravel().tolist()))
        self._numbers.append(parts[0] if alone else f"[{','.join(parts)}]")
        return f"{self._mark}{len(self._numbers) - 1}"

    def encode(self) -> bytes:
        """Returns the JSON."""
        text = json.dumps(self.value, separators=(",", ":"))
        for index, numbers in enumerate(self._numbers):
            text = text.replace(f'"{self._mark}{index}"', numbers, 1)
        return text.encode()


def _nested(texts: list[Any]) -> str:
    if texts and not isinstance(texts[0], list):
        return f"[{','.join(texts)}]"
    return f"[{','.join(map(_nested, texts))}]"
