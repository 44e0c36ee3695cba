"""`folder:PATH`: images in class folders, with or without splits, or without classes at all."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection as Collection_, Iterator, Mapping
from pathlib import Path

from ...core import DataError
from ...files.images import IMAGE_SUFFIXES, is_image_name
from ...stores import Location, StoreFile, images_at
from ..image_set import UNLABELLED, Collection, ImageSet, from_files, from_stores
from ..splits import listed

__all__ = ["SPLIT_NAMES", "image_places", "list_folder", "read_folder", "read_images", "split_names"]

logger = logging.getLogger(__name__)

SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""What people call the splits -> what we call them."""


def read_folder(path: Path, others: Collection_[str] = ()) -> Collection:
    """Reads `PATH/train/<class>/*` with `test` and optional `val` beside it, or a flat `PATH/<class>/*`.

    Args:
        others: Names of folders that are splits, too.

    Raises:
        DataError: The folder cannot be read or holds no class folders.
    """
    folders, files = list_folder(path)
    if not folders:
        what = f"{len(files)} images without class folders" if files else "no images"
        raise DataError(
            f"{path}: found {what}, expected one folder per class; labels come from the folder names. "
            "Sort the images into class folders, or list them in a table and give csv:FILE."
        )
    if files:
        logger.warning("%s: %d images lie beside the class folders and are left out.", path, len(files))
    return _labelled_folders(path, folders, split_names(others))


def read_images(place: Location) -> ImageSet:
    """Finds every image below a folder, whatever its layout, or one image file; unlabelled.

    Raises:
        DataError: Nothing is there, or a folder cannot be read.
    """
    places = list(image_places(place))
    labels = [UNLABELLED] * len(places)
    paths = [path for path in places if isinstance(path, Path)]
    return from_files(paths, labels) if paths else from_stores([each for each in places if isinstance(each, StoreFile)])


def image_places(place: Location) -> Iterator[Location]:
    """Yields the images that `read_images` finds, one after another, and raises what that raises."""

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: the folder cannot be read ({error.strerror}); check its permissions.")

    if isinstance(place, Path) and not place.exists():
        raise DataError(f"{place}: no such file or folder; check the path.")
    empty = True
    for path, _ in images_at(place, on_error=refuse):
        empty = False
        yield path
    if empty:
        raise DataError(f"{place}: no images found; known suffixes: {', '.join(sorted(IMAGE_SUFFIXES))}.")


def split_names(others: Collection_[str] = ()) -> dict[str, str]:
    """Returns what a split may be called, in small letters -> what it is called here, with further names of its own."""
    return {name.lower(): name for name in others} | SPLIT_NAMES


def _labelled_folders(path: Path, folders: list[Path], names: Mapping[str, str]) -> Collection:
    splits = _splits(path, folders, names)
    if splits is None:
        return _collection({"train": folders})
    others = [folder.name for folder in folders if folder not in splits.values()]
    if others:
        logger.warning("%s: neither train, val nor test, and left out: %s.", path, listed(others))
    return _collection({part: list_folder(folder)[0] for part, folder in splits.items()})


def _splits(path: Path, folders: list[Path], names: Mapping[str, str]) -> dict[str, Path] | None:
    named = [folder for folder in folders if folder.name.lower() in names]
    inside = {folder: list_folder(folder)[0] for folder in named}
    train = [folder for folder in named if names[folder.name.lower()] not in ("val", "test")]
    # "train" is also a thing to take photos of: without class folders inside it is a class like its neighbours.
    if not named or (len(named) < len(folders) and not any(inside[folder] for folder in train)):
        return None
    splits: dict[str, Path] = {}
    for folder in named:
        part = names[folder.name.lower()]
        if part in splits:
            raise DataError(f"{path}: {splits[part].name!r} and {folder.name!r} are both the {part} split; keep one.")
        if not inside[folder]:
            raise DataError(f"{folder}: expected one folder per class inside, found none.")
        splits[part] = folder
    return splits


def _collection(parts: dict[str, list[Path]]) -> Collection:
    classes = tuple(sorted({folder.name for folders in parts.values() for folder in folders}))
    numbers = {name: number for number, name in enumerate(classes)}
    return Collection(classes, {part: _labelled(folders, numbers) for part, folders in parts.items()})


def _labelled(folders: list[Path], numbers: dict[str, int]) -> ImageSet:
    paths: list[Path] = []
    labels: list[int] = []
    for folder in folders:
        inner, files = list_folder(folder)
        if inner:
            logger.warning("%s: folders inside a class folder are left out: %s.", folder, listed(p.name for p in inner))
        paths += files
        labels += [numbers[folder.name]] * len(files)
    return from_files(paths, labels)


def list_folder(path: Path) -> tuple[list[Path], list[Path]]:
    """Returns the folders and the image files in a folder, each sorted by name; what is hidden is left out."""
    folders, files = [], []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__MACOSX":
                    continue
                if entry.is_dir():
                    folders.append(path / entry.name)
                elif is_image_name(entry.name):
                    files.append(path / entry.name)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such folder; check the path.") from error
    except NotADirectoryError as error:
        raise DataError(f"{path}: expected a folder, this is a file.") from error
    except OSError as error:
        raise DataError(f"{path}: the folder cannot be read ({error.strerror}); check its permissions.") from error
    return sorted(folders), sorted(files)
