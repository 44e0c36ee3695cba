"""From what a user gives (a URL, a description file or the name of a ready one, options) to an Endpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from ..canvas.encoding import encoder_of
from ..core import AnswerKind, ConfigError, UnknownName
from ..registry import Registry, suggest
from ..urls import plain_url
from .http.key_hosts import check_allowed
from .http.secrets import Secrets, check_filling, check_url, variables_of
from .protocol import Endpoint
from .protocols import PROTOCOLS
from .protocols.labels import are_labels
from .protocols.options import check_keys, choice_option, text_option, whole_option
from .protocols.v2.url import V2Url

__all__ = ["DESCRIPTIONS", "load_description", "read_endpoint"]

_FOLDER = Path(__file__).parent / "descriptions"
_KEYS = ("about", "url", "protocol", "encoding", "headers", "image_size", "labels", "answer", "max_batch", "options")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_TF_SERVING = re.compile(r".*/v1/models/[^/:]+(/(versions|labels)/[^/:]+)?:(predict|classify)/?")

DESCRIPTIONS: Registry[Path] = Registry("endpoint description")
for _file in sorted(_FOLDER.glob("*.json")):
    DESCRIPTIONS.register(_file.stem, json.loads(_file.read_bytes())["about"])(_file)


def load_description(name_or_path: str) -> dict[str, Any]:
    """Reads a description.

    Args:
        name_or_path: A name of DESCRIPTIONS, or a JSON file with the keys of `Endpoint`, and "about" for people.

    Raises:
        ConfigError: It is no JSON object, or a value in it makes no sense.
        UnknownName: There is neither such a name nor such a file.
    """
    path = DESCRIPTIONS[name_or_path] if name_or_path in DESCRIPTIONS else Path(name_or_path)
    if not path.is_file():
        raise UnknownName(
            f"no file {name_or_path!r}, and no ready description of that name."
            f"{suggest(name_or_path, DESCRIPTIONS)} Known: {', '.join(DESCRIPTIONS)}."
        )
    try:
        description = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"cannot read the description {name_or_path}: {error}. Expected a JSON file.") from error
    if not isinstance(description, dict):
        raise ConfigError(
            f"expected a JSON object in the description {name_or_path}, got {type(description).__name__}."
        )
    _check(description, f"the description {name_or_path}")
    return description


def read_endpoint(
    url: str | None,
    description: str | None,
    *,
    protocol: str | None = None,
    encoding: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Endpoint:
    """Puts together what a user says about an endpoint; what is given here wins over the description.

    Args:
        url: Where the model is; `{name}` in it is filled from the options, and that option then used up.
        description: A name of DESCRIPTIONS or a file; None for none.
        protocol: A name of PROTOCOLS; None for what the description says, else what the URL implies.
        encoding: "png" or "jpeg"; None for what the description says, else "png".

    Raises:
        ConfigError: Something is missing or makes no sense, or a key stands where it would be written down.
    """
    values = load_description(description) if description is not None else {}
    merged = {**values.get("options", {}), **(options or {})}
    template = url or values.get("url")
    if template is None:
        raise ConfigError("the endpoint has no URL; give one, or a description with one.")
    address = _fill(template, merged)
    used = {*_PLACEHOLDER.findall(template), *_PLACEHOLDER.findall(values.get("url", ""))}
    check_url(address)
    if description is not None and url is None and description not in DESCRIPTIONS:
        check_allowed(variables_of(values.get("headers", {})), address, description)
    name = protocol or values.get("protocol") or _guess(address)
    if name not in PROTOCOLS:
        raise UnknownName(f"unknown protocol {name!r}.{suggest(name, PROTOCOLS)} Known: {', '.join(PROTOCOLS)}.")
    file_format = encoding or values.get("encoding") or "png"
    encoder_of(file_format)
    size, answer, labels = values.get("image_size"), values.get("answer"), values.get("labels")
    return Endpoint(
        address,
        name,
        file_format,
        headers=dict(values.get("headers", {})),
        image_size=(size, size) if isinstance(size, int) else None if size is None else (size[0], size[1]),
        labels=None if labels is None else tuple(labels),
        answer=None if answer is None else AnswerKind(answer),
        max_batch=values.get("max_batch"),
        options={key: value for key, value in merged.items() if key not in used},
    )


def _check(description: Mapping[str, Any], what: str) -> None:
    """Makes sure that every value of a description is of its kind."""
    check_keys(description, _KEYS, what)
    for key in ("about", "url", "protocol", "encoding"):
        text_option(description, key)
    choice_option(description, "answer", [kind.value for kind in AnswerKind])
    whole_option(description, "max_batch")
    if not isinstance(description.get("options", {}), dict):
        raise ConfigError(f"expected an object as 'options' of {what}, got {description['options']!r:.80}.")
    headers = description.get("headers", {})
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise ConfigError(f'expected \'headers\' of {what} as {{"Name": "value with ${{VARIABLE}}"}}.')
    Secrets(headers)
    if "labels" in description and not are_labels(description["labels"]):
        raise ConfigError(
            f"expected 'labels' of {what} as two or more different texts, got {description['labels']!r:.80}."
        )
    if "image_size" in description and not _is_size(description["image_size"]):
        raise ConfigError(
            f"expected 'image_size' of {what} as a whole number or [height, width], got "
            f"{description['image_size']!r:.80}."
        )


def _is_size(value: object) -> bool:
    sides = value if isinstance(value, list) else [value, value]
    return len(sides) == 2 and all(type(side) is int and side > 0 for side in sides)


def _fill(template: str, options: Mapping[str, Any]) -> str:
    """Fills the placeholders of a URL."""
    if "${" in template:
        raise ConfigError(
            f"the URL {plain_url(template)} asks for a variable of the environment, and URLs end up in logs. Put it "
            "into a header; in the URL, {name} is filled from the options."
        )
    for name in _PLACEHOLDER.findall(template):
        check_filling(name)
        if type(options.get(name)) not in (str, int) or options[name] == "":
            raise ConfigError(f"the URL {plain_url(template)} needs {name!r}: give it as an option.")
    address = _PLACEHOLDER.sub(lambda match: quote(str(options[match[1]]), safe=""), template)
    if "{" in address or "}" in address:
        raise ConfigError(f"the URL {plain_url(template)} has a stray brace; expected placeholders like {{name}}.")
    return address


def _guess(url: str) -> str:
    path = urlsplit(url).path
    if V2Url.matches(url):
        return "v2"
    if _TF_SERVING.fullmatch(path):
        return "tf-serving"
    if path.rstrip("/").endswith("/chat/completions"):
        return "openai"
    known = "\n".join(f"  {name}: {line}" for name, line in PROTOCOLS.describe().items())
    raise ConfigError(f"the URL {plain_url(url)} does not tell its protocol. Choose one:\n{known}")
