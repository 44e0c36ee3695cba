"""Text on its way to a terminal: names and answers from elsewhere must not move its cursor or change its colours."""

from __future__ import annotations

import json
from typing import Any

import click

__all__ = ["echo", "json_line", "printable"]


def printable(text: str) -> str:
    """Returns the text with every control character but the line feed replaced by a question mark."""
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in text)


def echo(text: str, *, err: bool = False) -> None:
    """Prints a line, without its control characters."""
    click.echo(printable(text), err=err)


def json_line(value: dict[str, Any]) -> str:
    """Returns one line of JSON: any script as it is, control characters as JSON's escapes."""
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else json.dumps(character, ensure_ascii=True)[1:-1] for character in text
    )
