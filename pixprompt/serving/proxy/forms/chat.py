"""OpenAI-compatible chat: the images in messages, as data URLs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ....remote.messages import Incoming
from ....remote.protocols.answers import parse_json
from ....replies.parse import Reply
from ...messages import Request
from ..prompter import UnknownForm
from .form import Form, JsonText, Prompted, from_base64, path_of, to_base64

__all__ = ["ChatForm"]

_KNOWN = ("text", "refusal", "image_url", "input_audio")
"""Parts of a message that hold no image, or one that is understood."""


class ChatForm(Form):
    """Images in data URLs are prompted; those behind other URLs are out of reach: the server behind fetches them."""

    name = "chat"

    def matches(self, request: Request) -> bool:
        """By its path."""
        return path_of(request).rstrip("/").endswith("/chat/completions")

    def prompt(self, request: Request) -> Prompted:
        """Replaces the data URLs."""
        if self.options.strict and self.options.num_labels is not None:
            raise UnknownForm("answers of chat cannot be mapped")
        message = JsonText(self.prompter, request.body)
        for part in _parts(message.value):
            if part.get("type") == "image_url":
                self._prompt_part(message, part)
            elif self.options.strict and part.get("type") not in _KNOWN:
                raise UnknownForm(f"a part of the type {str(part.get('type'))[:40]!r} may hold an image")
        return Prompted(message.encode() if message.digests else request.body, tuple(message.digests))

    def read(self, request: Request, incoming: Incoming, count: int) -> Sequence[Reply | None]:
        """Reads the text of the first choice, which answers about all images."""
        body = parse_json(incoming)
        try:
            text = body["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            text = None
        return [text if isinstance(text, str) else None, *[None] * (count - 1)]

    def _prompt_part(self, message: JsonText, part: dict[str, Any]) -> None:
        image = part.get("image_url")
        holder, key = (image, "url") if isinstance(image, dict) else (part, "image_url")
        url = holder.get(key)
        if isinstance(url, str) and url.startswith("data:"):
            content = to_base64(message.file(from_base64(url)))
            holder[key] = f"data:{self.prompter.media_type};base64,{content}"
        elif self.options.strict:
            raise UnknownForm("an image is behind a URL that is none with data, where it cannot be prompted")


def _parts(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the parts of all messages."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise UnknownForm("messages is a list of objects")
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            yield from (part for part in content if isinstance(part, dict))
