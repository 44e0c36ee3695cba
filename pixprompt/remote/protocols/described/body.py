"""Request bodies of endpoints that are described: raw files, base64, JSON, forms; no templating language."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from ....core import ConfigError
from ....registry import suggest
from ...messages import Picture
from ..options import choice_option, text_option

__all__ = ["BODY_OPTIONS", "Body"]

BODY_OPTIONS = ("send", "body", "content_type")
_SENDS = ("json", "raw", "base64", "form", "multipart")
_IMAGES: dict[str, Callable[[Picture], str]] = {
    "$base64": lambda picture: _base64(picture),
    "$data_url": lambda picture: f"data:{picture.media_type};base64,{_base64(picture)}",
}
_WORDS: dict[str, Callable[[Picture], str]] = {**_IMAGES, "$media_type": lambda picture: picture.media_type}
_FILE, _EACH = "$file", "$each"
_LOOKS_SO = re.compile(r"\$[a-z][a-z0-9_]*")
_DEEPEST = 32


class Body:
    """How images become a body.

    Options: "send", one of "json" (default), "raw" (the file itself), "base64" (its text), "form" (urlencoded) and
    "multipart"; "body", a JSON value in which the texts "$base64", "$data_url" and "$media_type" stand for the image,
    and the object {"$each": ITEM} for a list with one ITEM per image; of a form, a flat object, where "$file" is the
    file part of a multipart one; "content_type", where another one is needed than follows.

    Attributes:
        batches: Whether several images fit.

    Raises:
        ConfigError: An option makes no sense, or the image would not be sent.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.send = choice_option(options, "send", _SENDS) or "json"
        self.content_type = text_option(options, "content_type")
        self.template: Any = options.get("body")
        self.batches = False
        if self.send in ("raw", "base64"):
            if "body" in options:
                raise ConfigError(f"with \"send\": {self.send!r} the image is the body; leave out option 'body'.")
        elif self.send == "json":
            self.batches = _check_json(self.template)
        else:
            _check_form(self.template, self.send)
        if self.send == "multipart" and self.content_type is not None:
            raise ConfigError("the content type of a multipart body names its boundary; leave out 'content_type'.")

    def make(self, pictures: Sequence[Picture]) -> tuple[bytes, str]:
        """Returns a body and its content type; several images only where they fit."""
        first = pictures[0]
        if self.send == "json":
            text = json.dumps(_fill(self.template, pictures, first), separators=(",", ":"), ensure_ascii=False)
            content, content_type = text.encode(), "application/json"
        elif self.send == "raw":
            content, content_type = first.content, first.media_type
        elif self.send == "base64":
            content, content_type = _base64(first).encode(), "text/plain"
        elif self.send == "form":
            content = urlencode(_fill(self.template, pictures, first)).encode()
            content_type = "application/x-www-form-urlencoded"
        else:
            content, content_type = _multipart(self.template, first)
        return content, self.content_type or content_type


def _base64(picture: Picture) -> str:
    return base64.b64encode(picture.content).decode()


def _fill(node: Any, pictures: Sequence[Picture], first: Picture) -> Any:
    if isinstance(node, str):
        return _WORDS[node](first) if node in _WORDS else node
    if isinstance(node, list):
        return [_fill(item, pictures, first) for item in node]
    if isinstance(node, dict) and _EACH in node:
        return [_fill(node[_EACH], pictures, picture) for picture in pictures]
    return {key: _fill(item, pictures, first) for key, item in node.items()} if isinstance(node, dict) else node


def _check_json(template: object) -> bool:
    """Finds out whether a template takes several images."""
    counts = _count(template, 0)
    if counts[_EACH] > 1:
        raise ConfigError("option 'body' has {\"$each\": ...} more than once or one inside the other; expected one.")
    if not counts["images"] + counts["images in each"]:
        raise ConfigError('option \'body\' has neither "$base64" nor "$data_url": the image would not be sent.')
    if counts[_EACH] and (counts["images"] or not counts["images in each"]):
        raise ConfigError("option 'body' has {\"$each\": ...}, so the image belongs inside of it and nowhere else.")
    return bool(counts[_EACH])


def _count(node: object, depth: int, place: str = "images") -> dict[str, int]:
    """Counts what a template holds: lists of images, and images inside and outside of them."""
    if depth > _DEEPEST:
        raise ConfigError(f"option 'body' is nested more than {_DEEPEST} deep.")
    counts = {_EACH: 0, "images": 0, "images in each": 0}
    if isinstance(node, str):
        _check_word(node, _WORDS)
        counts[place] += node in _IMAGES
    children: list[object] = node if isinstance(node, list) else []
    if isinstance(node, dict):
        children = list(node.values())
    if isinstance(node, dict) and _EACH in node:
        if len(node) != 1:
            raise ConfigError(f'expected {{"$each": ...}} alone in its object, got the keys {", ".join(node)}.')
        counts[_EACH], place = 1, "images in each"
    for child in children:
        inner = _count(child, depth + 1, place)
        counts = {name: count + inner[name] for name, count in counts.items()}
    return counts


def _check_form(template: object, send: str) -> None:
    image = _FILE if send == "multipart" else "$base64"
    words = (*_WORDS, _FILE) if send == "multipart" else _WORDS
    if not isinstance(template, dict) or not all(isinstance(value, str) for value in template.values()):
        raise ConfigError(f'expected option \'body\' as {{"field": "text"}}, a flat object, got {template!r:.80}.')
    for value in template.values():
        _check_word(value, words)
    if not {_FILE, *_IMAGES} & set(template.values()):
        raise ConfigError(f"option 'body' has no \"{image}\": the image would not be sent.")


def _check_word(text: str, known: Sequence[str] | Mapping[str, object]) -> None:
    if _LOOKS_SO.fullmatch(text) and text not in known:
        raise ConfigError(f"nothing is known to fill {text!r} with.{suggest(text, known)} Known: {', '.join(known)}.")


def _multipart(template: Mapping[str, str], picture: Picture) -> tuple[bytes, str]:
    """Makes a form with a file; its boundary follows from the image, so that the same is sent for the same."""
    boundary = "pixprompt-" + hashlib.sha256(picture.content).hexdigest()[:32]
    suffix = picture.media_type.partition("/")[2]
    lines: list[bytes] = []
    for name, value in template.items():
        head = f'Content-Disposition: form-data; name="{_quoted(name)}"'
        content = _fill(value, [picture], picture).encode()
        if value == _FILE:
            head += f'; filename="image.{suffix}"\r\nContent-Type: {picture.media_type}'
            content = picture.content
        lines += [f"--{boundary}\r\n{head}\r\n".encode(), content]
    return b"\r\n".join([*lines, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"


def _quoted(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
