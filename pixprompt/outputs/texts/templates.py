"""Text templates: what is said about a class to a text encoder."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...core import ConfigError
from ...files import read_text
from ...registry import suggest
from .published_texts import CLIP, COOP, PAPER, family

__all__ = ["DEFAULT", "ENSEMBLE", "check_templates", "fill", "pretty", "texts_for", "words_for"]

DEFAULT = ("This is a photo of a {}",)
ENSEMBLE = (
    "a photo of a {}",
    "a close-up photo of a {}",
    "a photo of one {} in the middle of the picture",
    "a small picture of a {}",
    "a large {} filling the whole picture",
    "a blurry low-resolution image of a {}",
    "a sharp, bright photograph of a {}",
    "a dark photograph of a {}",
    "a drawing of a {}",
    "an image that shows a {}",
)
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_TUMOR = {"tumor": "containing", "normal": "not containing", "1": "containing", "0": "not containing"}
_NAMES = ("default", "ensemble", "paper", "coop", "clip")
_BY_DATA = {"paper": PAPER, "coop": COOP, "clip": CLIP}


def texts_for(data_name: str, choice: str | None = None) -> tuple[str, ...]:
    """Returns the text templates of a run; several make an ensemble.

    Args:
        data_name: As typed by the user, "clevr" or "folder:/images/clevr".
        choice: A template with one {}; several separated by "|"; a file with one template per line; or a name:
            "default" (one plain template), "ensemble" (ten plain templates of our own), or what a paper uses for this
            data set, the default template where it says nothing: "paper" (visual prompting), "coop", "clip". None is
            "paper".

    Raises:
        ConfigError: A template has no {} or several, or the choice is none of these.

    Reference: arXiv:2203.17274, appendix.
    """
    if choice is None or choice in _BY_DATA:
        published = _BY_DATA[choice or "paper"]
        return published.get(family(data_name, published), DEFAULT)
    if choice in ("default", "ensemble"):
        return DEFAULT if choice == "default" else ENSEMBLE
    text = str(choice)
    if "{" in text or "|" in text:
        return check_templates([part.strip() for part in text.split("|")])
    try:
        lines = read_text(text).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{text!r} is no template with one {{}}, no readable file with one template per line, and none of "
            f"{', '.join(_NAMES)}.{suggest(text, _NAMES)}"
        ) from error
    return check_templates([line.strip() for line in lines if line.strip()])


def words_for(data_name: str, classes: Sequence[str], choice: str | None = None) -> tuple[str, ...]:
    """Returns what stands for each class in the texts: its prettified name, but for the paper's special cases.

    Args:
        data_name: As for `texts_for`.
        classes: K class names; for CLEVR numbers of objects, for Camelyon17 "tumor" and "normal" or 1 and 0.
        choice: As for `texts_for`; only the paper's templates have special words.
    """
    special = family(data_name, PAPER) if choice in (None, "paper") else ""
    if special == "clevr":
        return tuple(_number(name) for name in classes)
    if special == "camelyon":
        return tuple(_TUMOR.get(pretty(name), pretty(name)) for name in classes)
    return tuple(pretty(name) for name in classes)


def check_templates(templates: Sequence[str]) -> tuple[str, ...]:
    """Returns the templates as a tuple.

    Raises:
        ConfigError: There is none, or one does not hold exactly one {}.
    """
    if not templates:
        raise ConfigError("expected at least one text template, got none.")
    for template in templates:
        if template.count("{}") != 1 or re.search(r"[{}]", template.replace("{}", "")):
            raise ConfigError(f"a text template holds exactly one {{}} for the class, got {template!r}.")
    return tuple(templates)


def fill(templates: Sequence[str], words: Sequence[str]) -> list[str]:
    """Returns the texts of all words, those of the first word first."""
    return [template.replace("{}", word) for word in words for template in templates]


def _number(name: str) -> str:
    digits = re.search(r"\d+", name)
    known = digits is not None and int(digits[0]) < len(_NUMBERS)
    return _NUMBERS[int(digits[0])] if digits is not None and known else pretty(name)


def pretty(name: str) -> str:
    """Returns a class name as it reads in a text: lower-case, with spaces for `_` and `-`."""
    return name.lower().replace("_", " ").replace("-", " ").strip()
