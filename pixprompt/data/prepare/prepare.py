"""From a folder or an archive to a prepared set."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ...core import ConfigError, DataError
from ...files import write_json
from ...version import __version__
from ..catalogue import DataSet, data_folder
from ..image_set import Collection, ImageSet
from ..splits import listed
from ..splits.manifest import Manifest
from .archive import is_archive, unpack
from .digests import content_digests, duplicates
from .prepared import DESCRIPTION, SPLITS_FOLDER, by_manifest, image_name, prepared_folder

__all__ = ["Summary", "prepare"]

logger = logging.getLogger(__name__)

_FILES = "files"
_PROGRESS = "digests.txt"


class Progress(Protocol):
    """Receives the progress."""

    def stage(self, name: str, total: int) -> None:
        """A stage of `total` steps begins; 0 where nobody knows."""
        ...

    def advance(self, steps: int = 1) -> None:
        """Steps of the stage are done."""
        ...


@dataclass(frozen=True)
class Summary:
    """What was prepared, or would be.

    Attributes:
        folder: Where the manifests are.
        root: Where the images are.
        num_classes: K.
        sizes: Split -> number of images.
        digests: Split -> digest of its manifest; empty where nothing was written.
        duplicates: Pairs of images of different splits with the same content.
    """

    folder: Path
    root: Path
    num_classes: int
    sizes: Mapping[str, int]
    digests: Mapping[str, str]
    duplicates: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object."""
        return {
            "folder": str(self.folder),
            "root": str(self.root),
            "classes": self.num_classes,
            "sizes": dict(self.sizes),
            "digests": dict(self.digests),
            "duplicates": [list(pair) for pair in self.duplicates],
        }


def prepare(
    data: DataSet,
    source: Path | None = None,
    *,
    progress: Progress,
    download: bool = False,
    manifests: Path | None = None,
    check_only: bool = False,
    workers: int = 4,
) -> Summary:
    """Checks the counts and classes of a set, digests its images, and writes the manifests of its splits.

    An archive is unpacked into the prepared folder; a folder is left where it is. All is written beside and renamed at
    the end: an interrupted call goes on where it stopped, and what is there is whole.

    Args:
        source: Folder or archive; None for what lies in the data folder, or is downloaded.
        download: Whether to download what has a link that works.
        manifests: Folder of manifests that say who is in which split, instead of the layout.
        check_only: Count, and write nothing; opens no image.
        workers: Threads that read images.

    Raises:
        ConfigError: The set has no link, or a package is missing.
        DataError: The files are not those of the set; the message says every difference.
    """
    partial = prepared_folder(data.name).with_name(f".{data.name}.partial")
    if source is None:
        root = _in_default_folder(data, download, progress)
    else:
        root = _in_source(data, source, partial, check_only, progress)
    if root.is_relative_to(prepared_folder(data.name)):
        raise ConfigError(f"{root} is the prepared set itself; give what it was prepared from.")
    collection = data.read(root)
    faults = [] if manifests is not None else data.faults(collection)
    if faults:
        raise DataError(
            f"{data.name}: {root} is not the official set: {'; '.join(faults)}. Get what is missing, or use what is "
            f"there under a name of its own, as folder:PATH or csv:FILE."
        )
    fixed = [Manifest.read(path) for path in sorted(manifests.glob("*.tsv"))] if manifests is not None else []
    if manifests is not None and not fixed:
        raise DataError(f"{manifests}: expected manifests, such as train.tsv, and found none.")
    parts = {each.part: by_manifest(root, collection, each) for each in fixed} or collection.parts
    sizes = {part: len(images) for part, images in parts.items()}
    if check_only:
        return Summary(prepared_folder(data.name), root, len(collection.classes), sizes, {})
    partial.mkdir(parents=True, exist_ok=True)
    splits = {
        part: _manifest(data, part, collection, images, root, partial, workers, progress)
        for part, images in parts.items()
    }
    _compare(data, splits, {each.part: each for each in fixed})
    has_files = all(images.content is not None for images in parts.values())
    return _finish(data, partial, root, splits, has_files)


def _in_default_folder(data: DataSet, download: bool, progress: Progress) -> Path:
    """Returns where the images are in the data folder, after a download."""
    if download:
        if data.download is None:
            raise ConfigError(f"there is no link that works. {data.missing()}")
        progress.stage(f"download {data.size} from {data.source}", 0)
        data_folder().mkdir(parents=True, exist_ok=True)
        data.download.download(data_folder())
    root = data.default_root()
    if root is None:
        raise data.missing()
    return root


def _in_source(data: DataSet, source: Path, partial: Path, check_only: bool, progress: Progress) -> Path:
    """Returns where the images are in a folder, or in an archive after it is unpacked."""
    source = source.expanduser().absolute()
    if not source.exists():
        raise DataError(f"{data.name}: {source} does not exist; check the path.")
    if is_archive(source):
        if check_only:
            raise ConfigError(f"{source} is an archive: without unpacking it nothing can be counted.")
        progress.stage(f"unpack {source.name}", 0)
        unpack(source, partial / _FILES, progress.advance)
        source = partial / _FILES
    root = data.locate(source)
    if root is None:
        raise DataError(
            f"{data.name}: expected {listed(data.layout.needs)} in {source}, found {listed(_names(source))}."
        )
    return root


def _names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.is_dir() else [folder.name]


def _manifest(
    data: DataSet, part: str, collection: Collection, images: ImageSet, root: Path, partial: Path, workers: int,
    progress: Progress,
) -> Manifest:  # fmt: skip
    progress.stage(f"digest {part}", len(images))
    names = [image_name(root, name) for name in images.names]
    digests = content_digests(images, names, partial / _PROGRESS, workers=workers, on_image=progress.advance)
    rows = zip(names, images.labels.tolist(), digests, strict=True)
    return Manifest.of(data.name, part, collection.classes, rows)


def _compare(data: DataSet, splits: Mapping[str, Manifest], fixed: Mapping[str, Manifest]) -> None:
    """Refuses contents that differ from given manifests, or from the digests that this package knows."""
    known = {part: manifest.digest for part, manifest in fixed.items()} or dict(data.digests)
    other = [part for part, digest in known.items() if part in splits and splits[part].digest != digest]
    if other:
        raise DataError(
            f"{data.name}: names, labels or contents of {listed(other)} differ from the known ones; "
            "the images are damaged, or of another version."
        )


def _finish(data: DataSet, partial: Path, root: Path, splits: Mapping[str, Manifest], has_files: bool) -> Summary:
    folder = prepared_folder(data.name)
    (partial / SPLITS_FOLDER).mkdir(exist_ok=True)
    for part, manifest in splits.items():
        manifest.write(partial / SPLITS_FOLDER / f"{part}.tsv")
    is_unpacked = root.is_relative_to(partial)
    if not is_unpacked:  # of an archive that was given before
        shutil.rmtree(partial / _FILES, ignore_errors=True)
    digests = {part: manifest.digest for part, manifest in splits.items()}
    sizes = {part: len(manifest.rows) for part, manifest in splits.items()}
    description = {
        "schema": 1, "name": data.name, "pixprompt_version": __version__,
        "root": root.relative_to(partial).as_posix() if is_unpacked else str(root),
        "files": has_files,
        "splits": {part: {"images": sizes[part], "digest": digests[part]} for part in splits},
    }  # fmt: skip
    write_json(partial / DESCRIPTION, description)
    (partial / _PROGRESS).unlink(missing_ok=True)
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    pairs = duplicates({part: [(row[0], row[2]) for row in manifest.rows] for part, manifest in splits.items()})
    if pairs:
        logger.warning("%s: %d images of one split are in another, too; the first are %s and %s.",
                       data.name, len(pairs), *pairs[0])  # fmt: skip
    place = folder / root.relative_to(partial) if is_unpacked else root
    return Summary(folder, place, len(next(iter(splits.values())).classes), sizes, digests, tuple(pairs))
