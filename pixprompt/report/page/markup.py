"""HTML as values: text is escaped wherever it enters, so nothing that a file says can become markup."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

from PIL import Image

from ...plots import Pixels

__all__ = ["Child", "Html", "chart", "element", "figure", "join", "jpeg_uri", "picture", "png_uri", "svg_uri", "table"]

_EMPTY = frozenset({"img", "meta", "hr"})


class Html(str):
    """Text that is markup already; every other string is escaped when it becomes part of an element."""


Child = str | Html | None


def element(tag: str, /, *children: Child, **attributes: str | int | None) -> Html:
    """Builds one element.

    Args:
        tag: Its name.
        children: Text, which is escaped, or markup; None is left out.
        attributes: A name that is a word of Python has an underscore at its end, one between words stands for a
            hyphen; None is left out.
    """
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if tag in _EMPTY:
        return Html(f"<{tag}{told}>")
    return Html(f"<{tag}{told}>{join(children)}</{tag}>")


def join(children: Iterable[Child]) -> Html:
    """Puts text and markup one after the other."""
    known = (child for child in children if child is not None)
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in known))


def table(head: Sequence[Child], rows: Iterable[Sequence[Child]], *, text: Sequence[int] = (0,)) -> Html:
    """Builds a table that scrolls sideways where it is wider than the page.

    Args:
        head: Column titles.
        rows: Cells; the first of each row is its header.
        text: Columns that hold words; the others hold numbers, which are aligned to the right.
    """

    def cell(name: str, column: int, child: Child, **attributes: str) -> Html:
        return element(name, child, class_=None if column in text else "num", **attributes)

    top = element("tr", *(cell("th", column, child, scope="col") for column, child in enumerate(head)))
    body = (
        element(
            "tr",
            *(
                cell("th", column, child, scope="row") if column == 0 else cell("td", column, child)
                for column, child in enumerate(row)
            ),
        )
        for row in rows
    )
    return element(
        "div", element("table", element("thead", top), element("tbody", *body)), class_="scroll", tabindex="0"
    )


def figure(content: Html, caption: str, *, class_: str | None = None) -> Html:
    """Builds a figure with a caption that says what one sees."""
    return element("figure", content, element("figcaption", caption), class_=class_)


def picture(uri: str, alt: str, *, class_: str | None = None) -> Html:
    """Builds an image; `alt` says what it shows to those who do not see it."""
    return element("img", src=uri, alt=alt, class_=class_)


def chart(text: str, alt: str) -> Html:
    """Builds the image of an SVG figure, which scrolls sideways where the page is too narrow to read it."""
    image = picture(svg_uri(text), alt, class_="chart")
    return element("div", image, class_="scroll", tabindex="0", role="group", aria_label="Figure, scrollable")


def svg_uri(text: str) -> str:
    """Returns SVG as a data URI."""
    return "data:image/svg+xml;base64," + base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")


def png_uri(pixels: Pixels) -> str:
    """Returns pixels (H, W, 3) as the data URI of a PNG, exact."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def jpeg_uri(pixels: Pixels) -> str:
    """Returns pixels (H, W, 3) as the data URI of a JPEG of high quality, many times smaller than the PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
