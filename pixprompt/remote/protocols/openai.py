"""Chat models that see images, as OpenAI, vLLM and Ollama serve them: a question with one letter as answer."""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from string import ascii_uppercase
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ...core import AnswerKind, ConfigError
from ...replies.parse import Reply
from ...replies.vocabulary import OTHER
from ..messages import Incoming, ItemFault, Outgoing, Picture
from ..protocol import PROTOCOLS, Declared, Endpoint, Protocol
from .answers import finite, garbled, parse_json, raise_error, short
from .labels import check_named, labels_option
from .options import check_keys, choice_option, text_option, whole_option

__all__ = ["OpenAI", "letter_of_text", "letter_of_token", "token_scores"]

_OPTIONS = (
    *("model", "labels", "prompt", "detail", "logprobs", "top_logprobs", "max_tokens", "token_limit", "seed", "extra"),
)
_BY_LETTER = "Which of these does the image show?\n{labels}\nAnswer with exactly one letter and nothing else."
_BY_WORD = "Which of these does the image show?\n{labels}\nAnswer with exactly one of these lines and nothing else."
_MOST_TOKENS = 20


@PROTOCOLS.register("openai")
class OpenAI(Protocol):
    """OpenAI-compatible chat with an image: a lettered list of labels, the likeliest letters or a text back.

    Up to 26 labels are asked for by letter. With log-probabilities, an answer is label -> probability over all
    spellings of a letter among the likeliest tokens, with what other tokens got under "(other)"; labels that are not
    among them are silent. Without, it is a label, or the text where no letter can be read. What came before changes
    nothing about that; the first answer decides how all are read. More labels are asked for by their words,
    without log-probabilities.

    Options: `model` (needed); `labels`, by default those of the endpoint, or what a run names; `prompt`, a question in
    which {labels} stands for the list; `detail` of the image, "low", "high" or "auto"; `logprobs`, true, false or
    "auto" (asked for, and done without where none come); `top_logprobs`, up to 20; `max_tokens`; `token_limit`, the
    field in which these are sent, "max_tokens" or "max_completion_tokens"; `seed`; `extra`, more fields of the request.

    Args:
        endpoint: Where and how; its URL is that of the API ("/chat/completions" is added) or the full one.

    Raises:
        ConfigError: A needed option is missing, or one is unknown or of the wrong kind.
    """

    max_batch = 1

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        options = endpoint.options
        check_keys(options, _OPTIONS, "protocol openai")
        self._labels = labels_option(endpoint)
        self._letters = dict(zip(ascii_uppercase, self._labels, strict=False))
        self._by_letter = len(self._labels) <= len(ascii_uppercase)
        self._numbers = _wants_numbers(options.get("logprobs", "auto"), len(self._labels))
        self.max_labels = len(ascii_uppercase) if self._numbers else 0  # further labels draw bare answers away
        self._question = self._filled(text_option(options, "prompt") or (_BY_LETTER if self._by_letter else _BY_WORD))
        detail = choice_option(options, "detail", ("low", "high", "auto"))
        self._image = {} if detail is None else {"detail": detail}
        self._fields = self._settings()
        self._url = _chat_url(endpoint.url)

    def discover(self, get: Callable[[Outgoing], Incoming]) -> Declared:
        """Asks nothing: labels and log-probabilities are what was asked for."""
        answers = {True: AnswerKind.TOP_K, False: AnswerKind.LABEL, None: None}
        return Declared(labels=self._labels or None, answer=answers[self._numbers])

    def request(self, pictures: Sequence[Picture]) -> Outgoing:
        """Makes the request for one image."""
        check_named(self._labels, self.endpoint)
        content = b64encode(pictures[0].content).decode("ascii")
        image = {"url": f"data:{pictures[0].media_type};base64,{content}", **self._image}
        parts = [{"type": "text", "text": self._question}, {"type": "image_url", "image_url": image}]
        body = {**self._fields, "messages": [{"role": "user", "content": parts}]}
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        return Outgoing(self._url, json.dumps(body).encode(), headers)

    def read(self, incoming: Incoming, count: int) -> list[Reply | ItemFault]:
        """Reads the first choice: its first token's alternatives where they came, else its text."""
        body = parse_json(incoming)
        raise_error(body, incoming)
        choices = body.get("choices") if isinstance(body, dict) else None
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(choice, dict) or not isinstance(message, dict):
            raise garbled(f"expected choices with a message, got {short(body)}", incoming)
        text, refused = _text(message, choice.get("finish_reason") == "content_filter", incoming)
        tokens = _first_token(choice.get("logprobs")) if self._numbers is not False else None
        if tokens is not None:
            return [token_scores(tokens, self._letters, incoming)]
        if refused and self._numbers is not False:
            return [{OTHER: 1.0}]
        if self._numbers:
            raise garbled("no log-probabilities came; set the option logprobs to false or auto", incoming)
        letter = letter_of_text(text) if self._by_letter and not refused else None
        return [self._letters.get(letter or "", text)]

    def facts(self) -> dict[str, Any]:
        """Adds what is asked: the question has defaults, and the labels may be those of the endpoint."""
        return {**super().facts(), "question": self._question, "fields": self._fields}

    def _filled(self, prompt: str) -> str:
        if "{labels}" not in prompt:
            raise ConfigError(
                f"expected {{labels}} in the option prompt, where the list of labels goes, got {prompt!r}."
            )
        lines = [f"{letter}. {label}" for letter, label in self._letters.items()] if self._by_letter else self._labels
        return prompt.replace("{labels}", "\n".join(lines))

    def _settings(self) -> dict[str, Any]:
        """Returns the fields of a request besides its messages."""
        options, asks_numbers = self.endpoint.options, self._numbers is not False
        model, seed, extra = text_option(options, "model"), options.get("seed"), options.get("extra", {})
        if model is None:
            raise ConfigError('protocol openai needs the option "model", the name that the endpoint knows it by.')
        if seed is not None and type(seed) is not int:
            raise ConfigError(f"expected a whole number as option 'seed', got {seed!r}.")
        if not isinstance(extra, dict) or "messages" in extra:
            raise ConfigError(f"expected an object of fields besides messages as option 'extra', got {extra!r}.")
        limit = choice_option(options, "token_limit", ("max_tokens", "max_completion_tokens")) or "max_tokens"
        tokens = whole_option(options, "max_tokens") or (1 if asks_numbers else 16 if self._by_letter else 64)
        top = whole_option(options, "top_logprobs") or _MOST_TOKENS
        if top > _MOST_TOKENS:
            raise ConfigError(f"option 'top_logprobs' is at most {_MOST_TOKENS}, got {top}.")
        fields: dict[str, Any] = {"model": model, "temperature": 0, limit: tokens}
        fields |= {"logprobs": True, "top_logprobs": top} if asks_numbers else {}
        return {**fields, **({} if seed is None else {"seed": seed}), **extra}


def _wants_numbers(wanted: object, num_labels: int) -> bool | None:
    """Returns whether log-probabilities are asked for; None for "if there are any"."""
    if wanted != "auto" and not isinstance(wanted, bool):
        raise ConfigError(f"expected true, false or \"auto\" as option 'logprobs', got {wanted!r}.")
    if num_labels <= len(ascii_uppercase):
        return wanted if isinstance(wanted, bool) else None
    if wanted is True:
        raise ConfigError(
            f"log-probabilities need a letter per label, so at most {len(ascii_uppercase)} labels, got {num_labels}; "
            "leave out the option 'logprobs'."
        )
    return False


def _chat_url(url: str) -> str:
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=path if path.endswith("/chat/completions") else f"{path}/chat/completions"))


def _text(message: dict[str, Any], filtered: bool, incoming: Incoming) -> tuple[str, bool]:
    """Returns the text of an answer, and whether it is a refusal."""
    content, refusal = message.get("content"), message.get("refusal")
    if isinstance(content, list):
        content = "".join(
            part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    if isinstance(refusal, str) and refusal:
        return refusal, True
    if isinstance(content, str):
        return content, filtered
    if filtered:
        return "", True
    raise garbled(f"expected a text as content, got {short(content)}", incoming)


def _first_token(logprobs: object) -> dict[str, Any] | None:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    first = content[0] if isinstance(content, list) and content else None
    return first if isinstance(first, dict) else None


_AROUND = " \t\r\n\u2581\u0120.,:;()[]{}<>*_`'\"#-"
"""What may stand around a letter; among it the marks that some tokenizers show for a space."""
_FIRST = re.compile(r"\W*([A-Z])\W*?[).:,\]*\-\u2013\u2014]")
_NAMED = re.compile(r"\b(?i:answer|option|choice|letter)\b(?i:\W+is\b)?\W*\b([A-Z])\b(?!\s+\w)")


def letter_of_token(token: str) -> str | None:
    """Returns the letter that a token is, in upper case, whatever stands around it; None for any other token."""
    letter = token.strip(_AROUND)
    return letter.upper() if len(letter) == 1 and letter.isascii() and letter.isalpha() else None


def letter_of_text(text: str) -> str | None:
    """Returns the letter that a text answers with: "B", "(b)", "B. dog", "The answer is B."; None if it has none.

    A capital letter before a word is none: "A dog" may be meant as it is written.
    """
    alone = letter_of_token(text)
    if alone is not None:
        return alone
    match = _FIRST.match(text) or _NAMED.search(text)
    return None if match is None else match[1]


def token_scores(first: Mapping[str, Any], letters: Mapping[str, str], incoming: Incoming) -> dict[str, float]:
    """Returns label -> probability out of the likeliest first tokens, OTHER for those that are no letter of a label.

    Args:
        first: The first token with its "top_logprobs"; it counts too where it is not among them.
        letters: Letter -> label.

    Raises:
        Fault: A token is no text, or its log-probability no number.
    """
    shares = {OTHER: 0.0}
    for token, probability in _tokens(first, incoming):
        label = letters.get(letter_of_token(token) or "", OTHER)
        shares[label] = min(1.0, shares.get(label, 0.0) + probability)
    return shares


def _tokens(first: Mapping[str, Any], incoming: Incoming) -> Iterator[tuple[str, float]]:
    listed = first.get("top_logprobs") or []
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise garbled(f"expected a list of tokens as top_logprobs, got {short(listed)}", incoming)
    known = [entry.get("token") for entry in listed]
    for entry in [*listed, *([] if first.get("token") in known else [first])]:
        token, logprob = entry.get("token"), entry.get("logprob")
        number = -math.inf if logprob == -math.inf else finite(logprob)
        if not isinstance(token, str) or number is None:
            raise garbled(f"expected a token with its log-probability, got {short(entry)}", incoming)
        yield token, math.exp(min(0.0, number))
