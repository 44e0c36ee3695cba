"""Reading a page as a browser would: structure, and everything that it could load, send or run."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"img", "meta", "hr", "br", "link", "input", "base", "source"}
_LOADS = {"src", "srcset", "data", "poster", "action", "formaction", "background", "ping", "cite", "codebase"}
_RUNS = {"script", "iframe", "object", "embed", "link", "base", "form", "frame", "applet", "audio", "video", "portal"}


@dataclass
class Node:
    tag: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def all(self, *tags: str) -> list[Node]:
        faults = [self] if self.tag in tags else []
        return faults + [node for child in self.children for node in child.all(*tags)]

    @property
    def words(self) -> str:
        return " ".join(" ".join([self.text, *(child.words for child in self.children)]).split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("", {})
        self.open = [self.root]
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)
        if tag not in _VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID or self.open[-1].tag != tag:
            self.faults.append(f"</{tag}> closes <{self.open[-1].tag}>")
            return
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].text += data


def read(page: str) -> Node:
    """Parses a page; tags that do not match are an error."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.faults == []
    assert len(reader.open) == 1
    return reader.root


def external(page: str) -> list[str]:
    """Whatever in a page could load something from outside, send something, or run."""
    faults = []
    for node in read(page).all(*_all_tags(page)):
        if node.tag in _RUNS:
            faults.append(f"<{node.tag}>")
        if node.tag == "meta" and node.attributes.get("http-equiv", "").lower() == "refresh":
            faults.append("refresh")
        if node.tag == "style":
            faults += re.findall(r"url\s*\(|@import|@font-face|image-set", node.text)
        faults += [f"{name}={value}" for name, value in node.attributes.items() if _leads_out(name, value)]
    return faults


def _all_tags(page: str) -> set[str]:
    return {tag.lower() for tag in re.findall(r"<([A-Za-z][\w-]*)", page)}


def _leads_out(name: str, value: str) -> bool:
    if name.startswith("on") or (name == "style" and "url" in value):
        return True
    if name in ("href", "xlink:href"):
        return not value.startswith("#")
    return name in _LOADS and not _harmless_data(value)


def _harmless_data(value: str) -> bool:
    if re.match(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=]+$", value):
        return True
    form = re.match(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)$", value)
    return form is not None and svg_faults(base64.b64decode(form[1]).decode()) == []


def svg_faults(text: str) -> list[str]:
    """What an SVG could load or run."""
    faults = [] if not re.search(r"<!DOCTYPE|<!ENTITY|<\?xml-stylesheet", text) else ["document type"]
    for node in ET.fromstring(text).iter():
        tag = str(node.tag).rpartition("}")[2]
        if tag in ("script", "foreignObject", "iframe", "a", "use") and tag != "use":
            faults.append(tag)
        for key, value in node.attrib.items():
            name = key.rpartition("}")[2]
            if name.startswith("on") or (name == "href" and not value.startswith(("#", "data:image/png;base64,"))):
                faults.append(f"{name}={value}")
            faults += [link for link in re.findall(r"url\(([^)]*)\)", value) if not link.startswith("#")]
        if tag == "style":
            faults += re.findall(r"url\s*\(|@import", node.text or "")
    return faults
