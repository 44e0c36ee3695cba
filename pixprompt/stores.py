"""Images where they lie: on this machine, or in a store that fsspec reaches (s3://, gs://, hf://). No torch import.

Keys are the affair of each store's own client: nothing here reads, takes or prints one.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, TypeAlias
from urllib.parse import urlsplit
from urllib.request import url2pathname

from PIL import Image

from .canvas import decode
from .core import ConfigError, DataError, ImageError, PixpromptError
from .files import make_folder, write_bytes
from .files.images import is_image_name, walk
from .urls import plain_url

__all__ = ["Location", "StoreFile", "image_key", "images_at", "is_url", "locate", "open_at", "text_of", "write_at"]

_VERSIONS = ("ETag", "etag", "md5", "blob_id", "mtime", "LastModified", "last_modified", "created")
"""What stores call the version of a file."""
_BUCKETS = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss")
"""Stores of buckets, whose keys need no folders; a bucket of a mistyped name would be made."""
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_LINK = re.compile(_URL.pattern + r"[^\s'\"<>]*", re.IGNORECASE)


@dataclass(frozen=True)
class StoreFile:
    """A file, or a folder, of a store.

    Attributes:
        url: With the name of the store's protocol.
    """

    url: str

    def __str__(self) -> str:
        return plain_url(self.url)

    def __truediv__(self, inner: str | PurePath) -> StoreFile:
        return StoreFile(f"{self.url.rstrip('/')}/{PurePath(inner).as_posix()}")

    @property
    def name(self) -> str:
        """The last part of its path."""
        return posixpath.basename(self.url.rstrip("/"))

    def reach(self) -> tuple[Any, str]:
        """Returns the file system of fsspec, and the path in it.

        Raises:
            ConfigError: fsspec does not know the protocol, or lacks the client that speaks it.
        """
        from fsspec.core import url_to_fs

        try:
            system, path = url_to_fs(self.url, use_listings_cache=False)
        except (ValueError, ImportError) as error:
            if isinstance(error, ModuleNotFoundError):
                raise
            raise ConfigError(f"{self}: no way to this store ({_reason(error, self)}).") from error
        return system, str(path)


Location: TypeAlias = Path | StoreFile


def is_url(text: str) -> bool:
    """Whether a text is the URL of a file, in a store or on this machine."""
    return _URL.match(text) is not None


def locate(text: str) -> Location:
    """Returns what a path or a URL stands for; file:// is a path of this machine."""
    if not is_url(text):
        return Path(text)
    return Path(url2pathname(urlsplit(text).path)) if text.lower().startswith("file://") else StoreFile(text)


def text_of(place: Location) -> str:
    """Returns what `locate` reads as this place."""
    return str(place.absolute()) if isinstance(place, Path) else place.url


def open_at(place: Location, *, admit: Callable[[int], object] | None = None) -> Image.Image:
    """Reads an upright RGB image; see `canvas.decode`.

    Raises:
        ImageError: It cannot be read.
    """
    if isinstance(place, Path):
        return decode(place, admit=admit)
    system, path = place.reach()
    try:
        content: bytes = system.cat_file(path)
    except Exception as error:  # each store fails in its own way; it is the failure of this file alone
        raise ImageError(f"{place}: cannot be read ({_reason(error, place)}).") from error
    try:
        return decode(content, admit=admit)
    except ImageError as error:
        raise ImageError(f"{place}: {str(error).removeprefix('image: ')}") from error


def write_at(place: Location, content: bytes) -> None:
    """Writes a file, all at once, and the folder that it is in.

    Raises:
        PixpromptError: It cannot be written.
    """
    if isinstance(place, Path):
        if not place.parent.is_dir():
            make_folder(place.parent)
        write_bytes(place, content, durable=False)
        return
    system, path = place.reach()
    try:
        if place.url.partition("://")[0].lower() not in _BUCKETS:
            system.makedirs(posixpath.dirname(path), exist_ok=True)
        system.pipe_file(path, content)
    except Exception as error:
        raise PixpromptError(f"cannot write {place}: {_reason(error, place)}.") from error


def _reason(error: Exception, place: StoreFile) -> str:
    """What a client says of its failure, without what may be a password or a signature in a URL."""
    text = _LINK.sub(lambda link: plain_url(link[0]), " ".join(str(error).split()))
    secret = place.url.partition("://")[2].rpartition("@")[0]
    return (text.replace(f"{secret}@", "") if secret else text) or type(error).__name__


def images_at(
    place: Location, *, on_error: Callable[[OSError], None], skip: Location | None = None
) -> Iterator[tuple[Location, PurePath]]:
    """Yields an image file, or the images of a folder and of those below in alphabetical order.

    Of a folder of this machine some names are in memory at a time, of one in a store all that lie directly in it.

    Args:
        place: The file or folder.
        on_error: Called with the error of every folder that cannot be listed.
        skip: A folder to leave out.

    Yields:
        Each image, and its path inside the folder.

    Raises:
        DataError: There is no such file in the store.
    """
    if isinstance(place, Path):
        if place.is_dir():
            for file in walk(place, on_error=on_error, skip=skip if isinstance(skip, Path) else None):
                yield file, file.relative_to(place)
        else:
            yield place, Path(place.name)
        return
    system, path = place.reach()
    try:
        is_folder, is_file = system.isdir(path), system.isfile(path)
    except Exception as error:  # no connection, no key: each store says it in its own way
        raise DataError(
            f"{place}: the store does not answer ({_reason(error, place)}); check its address and keys."
        ) from error
    if is_folder:
        skipped = skip.reach()[1].rstrip("/") if isinstance(skip, StoreFile) else None
        yield from ((place / inner, inner) for inner in _inside(system, path.rstrip("/"), skipped, on_error))
    elif is_file:
        yield place, PurePosixPath(place.name)
    else:
        raise DataError(f"{place}: no such file or folder in the store; check the path.")


def _inside(
    system: Any, folder: str, skip: str | None, on_error: Callable[[OSError], None], inner: str = ""
) -> Iterator[PurePosixPath]:
    try:
        entries = system.ls(folder, detail=True)
    except OSError as error:
        error.filename = folder
        on_error(error)
        return
    names = {posixpath.basename(entry["name"].rstrip("/")): entry["type"] for entry in entries if
             entry["name"].rstrip("/") != folder}  # fmt: skip
    yield from (PurePosixPath(inner, name) for name in sorted(names) if names[name] == "file" and is_image_name(name))
    for name in sorted(names):
        if names[name] == "directory" and not name.startswith(".") and f"{folder}/{name}" != skip:
            yield from _inside(system, f"{folder}/{name}", skip, on_error, posixpath.join(inner, name))


def image_key(place: StoreFile) -> str:
    """Returns the identity of the content of a file in a store: its URL with what the store says of its version."""
    system, path = place.reach()
    facts = system.info(path)
    version = next((facts[name] for name in _VERSIONS if name in facts), "")
    return f"{place.url}|{facts.get('size')}|{version}"
