"""Finding credentials in what an endpoint says: whole, in another encoding, or in pieces."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from json import dumps
from urllib.parse import quote

__all__ = ["MASK", "Redactor"]

MASK = b"***"
_SHORTEST_WHOLE = 4
"""A shorter value is no credential, and hiding it would make every message unreadable."""
_SHORTEST_IN_ANSWERS = 8
"""In answers, where a shorter value could be part of a number."""
_DIVIDED = 16
"""A value of so many characters is looked for in pieces as well."""
_PIECE, _ENCODED_PIECE, _STRIDE = 8, 16, 4
_MOST_PIECES = 2000
"""Nobody quotes a key so often but to keep its reader busy."""
_NUMBER = re.compile(rb"[0-9.eE+-]*")
_ESCAPES = (b"%", b"\\", b"&#")


class Redactor:
    """Knows some credentials in every form in which a server may quote them.

    Args:
        values: The credentials; each of their words counts for itself, since servers leave out "Bearer".
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        words = {word for value in values for word in (value, *value.split()) if len(word) >= _SHORTEST_WHOLE}
        whole = {form for word in words for form in _whole_forms(word)}
        self._whole = sorted(whole, key=len, reverse=True)
        self._escaped = [(len(word), _in_any_escapes(word)) for word in sorted(words, key=len, reverse=True)]
        long = [word for word in words if len(word) >= _DIVIDED]
        self._pieces = [(word.encode(), _PIECE, 1) for word in long]
        self._pieces += [(form, _ENCODED_PIECE, _STRIDE) for word in long for form in _encoded(word)]
        self.longest = max((6 * len(word) for word in words), default=0)

    def clean(self, text: bytes, *, is_answer: bool = False) -> bytes:
        """Returns a text in which every credential, and every piece of one, is masked.

        Args:
            text: In UTF-8.
            is_answer: Whether it may hold numbers that matter: what could be one of them is left alone.
        """
        shortest = _SHORTEST_IN_ANSWERS if is_answer else _SHORTEST_WHOLE
        for form in self._whole:
            if len(form) >= shortest:
                text = text.replace(form, MASK)
        if any(escape in text for escape in _ESCAPES):
            for length, pattern in self._escaped:
                text = pattern.sub(MASK, text) if length >= shortest else text
        for form, size, stride in self._pieces:
            text = _without_pieces(text, form, size, stride, is_answer)
        return text


def _whole_forms(word: str) -> Iterator[bytes]:
    yield from (word.encode(), quote(word, safe="").encode(), dumps(word)[1:-1].encode())
    if len(word) >= _SHORTEST_IN_ANSWERS:
        yield from _encoded(word)


def _encoded(word: str) -> Iterator[bytes]:
    """Yields hexadecimal and base64, of which the last also where other bytes stand before the word."""
    raw = word.encode()
    yield from (raw.hex().encode(), raw.hex().upper().encode())
    for before in range(3):
        first, end = -(-8 * before // 6), (before + len(raw)) * 8 // 6
        code = b64encode(bytes(before) + raw)[first:end]
        yield code
        yield code.translate(bytes.maketrans(b"+/", b"-_"))


def _in_any_escapes(word: str) -> re.Pattern[bytes]:
    """Matches a word each of whose characters may be written as %XX, \\uXXXX, \\xXX, &#N; or with a backslash."""
    return re.compile(
        b"".join(
            b"(?:\\\\?%s|(?i:%%%02x|\\\\u%04x|\\\\x%02x|&#0*%d;|&#x0*%x;))"
            % (re.escape(char.encode()), ord(char), ord(char), ord(char), ord(char), ord(char))
            for char in word
        )
    )


def _without_pieces(text: bytes, form: bytes, size: int, stride: int, is_answer: bool) -> bytes:
    """Masks what a text and a credential have in common, from so many bytes on; all of a text that is full of it."""
    for start in range(0, len(form) - size + 1, stride):
        piece = form[start : start + size]
        place = text.find(piece)
        if place < 0 or (is_answer and _NUMBER.fullmatch(piece)):
            continue
        parts, done = list[bytes](), 0
        while place >= 0:
            begin, end, head, tail = place, place + size, start, start + size
            while begin > done and head > 0 and text[begin - 1] == form[head - 1]:
                begin, head = begin - 1, head - 1
            while end < len(text) and tail < len(form) and text[end] == form[tail]:
                end, tail = end + 1, tail + 1
            parts += text[done:begin], MASK
            place, done = text.find(piece, end), end
            if len(parts) > _MOST_PIECES:
                return MASK
        text = b"".join(parts) + text[done:]
    return text
