"""`webdataset:PATH`: tar archives of images and labels side by side, `train-000000.tar` and so on; nothing is unpacked.

Each archive holds KEY.jpg (or another image) and KEY.cls, a number or a name; a key ends at the first dot of a file
name. `classes.txt` beside the archives names the numbers. The members are listed once; images are read from their
places in the archives, in any order.
"""

from __future__ import annotations

import os
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ...canvas import decode
from ...core import DataError, ImageError
from ...files.images import is_image_name
from ..image_set import Collection, ImageSet
from ..splits import listed
from .class_names import names_by_line
from .folders import SPLIT_NAMES
from .listed_files import plain_label
from .official.layout import sort_labels

__all__ = ["read_shards"]


@dataclass(frozen=True)
class _Member:
    archive: Path
    offset: int
    size: int
    key: str
    label: str


def read_shards(path: Path) -> Collection:
    """Reads the archives in a folder, or one archive, which is all "train".

    Raises:
        DataError: There is none, one is damaged, or an image has no label.
    """
    archives = sorted(path.glob("*.tar")) if path.is_dir() else [path]
    if not archives or not path.exists():
        raise DataError(f"{path}: expected tar archives such as train-000000.tar, found none.")
    members: dict[str, list[_Member]] = {}
    for archive in archives:
        word = re.split(r"[-_.\d]", archive.name.lower())[0]
        part = SPLIT_NAMES.get(word, word) if path.is_dir() and len(archives) > 1 else "train"
        members.setdefault(part, []).extend(_members(archive))
    labels = frozenset(each.label for some in members.values() for each in some)
    folder = path if path.is_dir() else path.parent
    names = names_by_line(folder, labels)
    unknown = sort_labels(labels - names.keys())
    if unknown:
        raise DataError(f"{folder / 'classes.txt'}: {len(names)} names, but there are labels {listed(unknown)}.")
    numbers = {label: number for number, label in enumerate(names)}
    parts = {part: _images(some, numbers) for part, some in members.items()}
    return Collection(tuple(names.values()), parts, source=str(path))


def _members(archive: Path) -> list[_Member]:
    images: dict[str, tuple[int, int]] = {}
    labels: dict[str, str] = {}
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                folder, slash, name = member.name.removeprefix("./").rpartition("/")
                stem, _, kind = name.partition(".")
                key = f"{folder}{slash}{stem}"
                if not member.isfile() or not stem:
                    continue
                if kind.lower() == "cls":
                    content = tar.extractfile(member)
                    labels[key] = plain_label(content.read(4096).decode() if content else "")
                elif is_image_name(f"x.{kind}"):
                    images[key] = (member.offset_data, member.size)
    except (tarfile.TarError, UnicodeDecodeError, EOFError, OSError) as error:
        raise DataError(f"{archive}: damaged, packed, or no tar archive ({error}); get it again.") from error
    lacking = sorted(images.keys() - labels.keys())
    if lacking:
        raise DataError(f"{archive}: {len(lacking)} images have no label (.cls): {listed(lacking)}.")
    return [_Member(archive, *place, key, labels[key]) for key, place in images.items()]


def _images(members: list[_Member], numbers: dict[str, int]) -> ImageSet:
    def content(index: int) -> bytes:
        member = members[index]
        with member.archive.open("rb") as file:
            file.seek(member.offset)
            return file.read(member.size)

    def key(member: _Member) -> str:
        status = stats[member.archive]
        return f"{member.archive}|{status.st_size}|{status.st_mtime_ns}|{member.offset}"

    stats = {archive: os.stat(archive) for archive in {member.archive for member in members}}
    names = tuple(f"{member.archive}/{member.key}" for member in members)

    def open_image(index: int) -> Image.Image:
        try:
            return decode(content(index))
        except ImageError as error:
            raise ImageError(f"{names[index]}: {error}") from error

    labels = np.array([numbers[member.label] for member in members], dtype=np.int64)
    return ImageSet(names, labels, tuple(map(key, members)), open_image, content)
