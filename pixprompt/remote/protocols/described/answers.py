"""Where the answers are in the JSON of an endpoint that is described, and what in it says that something failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....core import ConfigError
from ....replies.parse import Reply
from ...messages import Fault, FaultKind, Incoming, ItemFault
from ..answers import check_count, finite, garbled, label_text, named_scores, row_of_scores, short
from ..options import check_keys, flag_option
from .json_paths import MISSING, JsonPath

__all__ = ["ANSWER_OPTIONS", "Answers", "ErrorRule"]

ANSWER_OPTIONS = ("images", "items", "label", "score", "scores", "scale", "empty", "error", "image_error")
_KINDS = (FaultKind.THROTTLED, FaultKind.BUSY, FaultKind.REFUSED)


class ErrorRule:
    """How a body says that something failed although the status is 2xx.

    Args:
        option: {"code": PATH, "ok": [values], "message": PATH, "throttled": [values], "refused": [values],
            "busy": [values]}: a code that is there and not ok is an error, "busy" unless listed otherwise.

    Raises:
        ConfigError: The option is of another form.
    """

    def __init__(self, option: object, name: str) -> None:
        if not isinstance(option, dict) or "code" not in option:
            raise ConfigError(f'expected option {name!r} as {{"code": PATH, "ok": [...]}}, got {option!r:.80}.')
        check_keys(option, ("code", "ok", "message", *_KINDS), f"option {name!r}")
        self.code = _single(option["code"], name)
        self.message = _single(option["message"], name) if "message" in option else None
        self.values: dict[str, list[object]] = {key: option.get(key, []) for key in ("ok", *_KINDS)}
        for key, values in self.values.items():
            if not isinstance(values, list):
                raise ConfigError(f"expected a list of codes as {key!r} of option {name!r}, got {values!r:.80}.")

    def check(self, value: Any) -> ItemFault | None:
        """Returns what is wrong; None if nothing is."""
        code = self.code.one(value)
        if code is MISSING or code is None or code in self.values["ok"]:
            return None
        kind = next((kind for kind in _KINDS if code in self.values[kind]), FaultKind.BUSY)
        message = self.message.one(value) if self.message is not None else MISSING
        details = short(code) if message is MISSING else f"{short(code)} {short(message)}"
        return ItemFault(f"the endpoint says: {details}", kind)


class Answers:
    """How a body becomes answers.

    Options: "images", the path to one entry per image, with `[*]`; without it the body is the answer to the only
    image. In an entry, "scores" is the path to a list of numbers; or "items" that to a list, whose entries have a
    label at path "label" and a score at path "score", or to an object of label to score (at path "score" of its
    values); or "label" alone that to a text. "scale" is what a sure score is, 1 by default, 100 for percent; "empty"
    is true where missing items mean that nothing was found. "error" and "image_error" are `ErrorRule`s.

    Raises:
        ConfigError: An option is missing or makes no sense.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.images = JsonPath(options["images"]) if "images" in options else None
        if self.images is not None and not self.images.many:
            raise ConfigError(f"option 'images' is {self.images.text!r}; expected a [*] where the images are listed.")
        self.paths = {key: _single(options[key], key) for key in ("label", "score", "scores") if key in options}
        if "items" in options:
            text = options["items"]
            self.paths["items"] = _single(text.removesuffix("[*]") if isinstance(text, str) else text, "items")
        _check_combination(options)
        scale = finite(options.get("scale", 1.0))
        if scale is None or scale <= 0:
            raise ConfigError(f"expected a number above 0 as option 'scale', got {options['scale']!r}.")
        self.scale = scale
        self.empty = flag_option(options, "empty") or False
        self.error = ErrorRule(options["error"], "error") if "error" in options else None
        self.image_error = ErrorRule(options["image_error"], "image_error") if "image_error" in options else None

    def read(self, body: Any, count: int, incoming: Incoming) -> list[Reply | ItemFault]:
        """Reads the answers of all images, in order.

        Raises:
            Fault: What the body says, or GARBLED if it cannot be read.
        """
        wrong = self.error.check(body) if self.error is not None else None
        if wrong is not None:
            raise Fault(wrong.kind, wrong.reason, incoming=incoming)
        entries = [body] if self.images is None else self.images.all(body)
        if any(entry is MISSING for entry in entries):
            raise garbled(f"expected answers at {self.images}, got {short(body)}", incoming)
        check_count(len(entries), count, incoming)
        return [self._entry(entry, incoming) for entry in entries]

    def _entry(self, entry: Any, incoming: Incoming) -> Reply | ItemFault:
        wrong = self.image_error.check(entry) if self.image_error is not None else None
        if wrong is not None:
            return wrong
        if "scores" in self.paths:
            return row_of_scores(self._at("scores", entry, incoming), incoming, scale=self.scale)
        if "items" in self.paths:
            return self._items(entry, incoming)
        label = label_text(self._at("label", entry, incoming))
        if label is None:
            raise garbled(f"expected a label at {self.paths['label']}, got {short(entry)}", incoming)
        return label

    def _items(self, entry: Any, incoming: Incoming) -> Reply:
        items = self.paths["items"].one(entry)
        if items is MISSING and self.empty and isinstance(entry, dict):
            return {}
        pairs: list[tuple[object, object]]
        if isinstance(items, dict):
            pairs = [(label, self._score(value)) for label, value in items.items()]
        elif isinstance(items, list) and "label" in self.paths:
            pairs = [(self.paths["label"].one(item), self._score(item)) for item in items]
        else:
            raise garbled(f"expected labels with scores at {self.paths['items']}, got {short(entry)}", incoming)
        if not pairs and not self.empty:
            raise garbled(f"expected labels with scores at {self.paths['items']}, got none", incoming)
        return named_scores(pairs, incoming, scale=self.scale)

    def _score(self, item: Any) -> object:
        return self.paths["score"].one(item) if "score" in self.paths else item

    def _at(self, name: str, entry: Any, incoming: Incoming) -> Any:
        value = self.paths[name].one(entry)
        if value is MISSING:
            raise garbled(f"expected something at {self.paths[name]}, got {short(entry)}", incoming)
        return value


def _single(text: object, name: str) -> JsonPath:
    path = JsonPath(text)
    if path.many:
        raise ConfigError(f"the path {path.text!r} of option {name!r} has a [*]; expected a path to one value.")
    return path


def _check_combination(options: Mapping[str, Any]) -> None:
    forms = [key for key in ("scores", "items") if key in options] or [key for key in ("label",) if key in options]
    if len(forms) != 1:
        raise ConfigError(
            "say where the answers are: option 'scores' (a list of numbers), or 'items' with 'label' and 'score', or "
            f"'label' alone; got {', '.join(key for key in options if key in ANSWER_OPTIONS) or 'none of them'}."
        )
    stray = {"scores": ("label", "score", "empty"), "items": (), "label": ("score", "empty", "scale")}[forms[0]]
    for key in stray:
        if key in options:
            raise ConfigError(f"option {key!r} does not go with {forms[0]!r}; leave one of them out.")
    if "label" in options and "items" in options and "score" not in options:
        raise ConfigError("options 'items' and 'label' need 'score', the path to the score of an item.")
