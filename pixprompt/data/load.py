"""From what a user types after `--data` to images."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from PIL import Image

from ..core import ConfigError, UnknownName
from ..registry import suggest
from ..stores import Location, is_url, locate, open_at
from .catalogue import DATASETS, DataSet, data_folder
from .image_set import Collection, Data, ImageSet, join
from .prepare import read_prepared
from .readers.csv_ import read_csv
from .readers.folders import image_places, read_folder, read_images
from .readers.hub import read_hub
from .readers.lists import read_lists
from .readers.shards import read_shards
from .splits import SPLITS, chosen_parts, split

__all__ = ["each_image", "load_data", "load_images"]

logger = logging.getLogger(__name__)

_FORMS = {"folder": "PATH", "csv": "FILE", "lists": "PATH", "webdataset": "PATH", "hf": "NAME"}


def load_data(
    name: str,
    *,
    seed: int = 0,
    shots: int | None = None,
    fraction: float | None = None,
    splits: str | None = None,
) -> Data:
    """Finds a labelled data set and splits it; decodes nothing.

    Args:
        name: A name of DATASETS, "folder:PATH", "csv:FILE", "lists:PATH", "webdataset:PATH" or
            "hf:NAME".
        seed: Decides the splits that are missing, the shots and the fraction.
        shots: Images per class in train and at most in val; None takes all.
        fraction: Share of the training images of each class, in (0, 1]; None takes all.
        splits: Which of the set's own parts is which split, "val=FOLDER,test=FOLDER".

    Raises:
        ConfigError: The seed, the shots or the name make no sense.
        DataError: The images or labels cannot be used as they are.
    """
    collection = _collection(name, tuple(chosen_parts(splits).values()))
    return split(collection, name=name, seed=seed, shots=shots, fraction=fraction, chosen=splits)


def load_images(name: str) -> ImageSet:
    """Finds images whose labels do not matter: all splits of a data set, all below a folder, or one image file.

    Args:
        name: What `load_data` takes, or a plain path to a folder or an image, or the URL of one in a store.

    Returns:
        The images in a fixed order; those of a folder are unlabelled, whatever its layout.

    Raises:
        ConfigError: Nothing goes by that name.
        DataError: The images cannot be found or read.
    """
    place = _place(name)
    if place is not None:
        return read_images(place)
    parts = _collection(name).parts
    return join([parts[part] for part in SPLITS if part in parts])


def each_image(name: str) -> Iterator[tuple[str, Callable[[], Image.Image]]]:
    """Yields name and opener of each image that `load_images` finds, without keeping them; raises what that raises."""
    place = _place(name)
    if place is not None:
        yield from ((str(path), partial(open_at, path)) for path in image_places(place))
        return
    images = load_images(name)
    yield from ((images.names[index], partial(images.open, index)) for index in range(len(images)))


def _place(name: str) -> Location | None:
    """Returns the file or folder that a name stands for; None for a data set."""
    if is_url(name):
        return locate(name)
    kind, rest = _parse(name)
    path = locate(rest) if is_url(rest) else Path(rest).expanduser()
    is_path = kind == "" and name not in DATASETS and isinstance(path, Path) and path.exists()
    return path if kind == "folder" or is_path else None


def _collection(name: str, parts: tuple[str, ...] = ()) -> Collection:
    """Finds a collection; some parts of it may have names of their own."""
    kind, rest = _parse(name)
    path = Path(rest).expanduser()
    if kind == "hf":
        return read_hub(rest)
    if kind in ("lists", "webdataset"):
        return (read_lists if kind == "lists" else read_shards)(path)
    if kind:
        return (read_folder if kind == "folder" else read_csv)(path, parts)
    if name not in DATASETS and path.exists():
        raise UnknownName(f"{name!r} is no data set; it is a path. Write {_prefix(path)}:{name} instead.")
    if name not in DATASETS and ":" in name:
        forms = ", ".join(f"{form}:{what}" for form, what in _FORMS.items())
        close = suggest(name.partition(":")[0], _FORMS)
        raise UnknownName(f"{name!r} is no form of data.{close} Known: {forms}, or a name of 'pixprompt datasets'.")
    return _named(DATASETS[name])


def _named(data: DataSet) -> Collection:
    if data.task != "classification":
        raise ConfigError(f"{data.name} is for {data.task}, not for classes of images: {data.line}.")
    prepared = read_prepared(data)
    if prepared is not None:
        return replace(prepared, official=len(prepared.parts) > 1)
    root = data_folder() if data.built_in else data.default_root()
    if root is None:
        raise data.missing()
    collection = data.read(root)
    faults = data.faults(collection)
    if faults:
        logger.warning("%s: %s is not the official set: %s.", data.name, root, "; ".join(faults))
    where = f"{data.source} ({data.size})" if data.built_in else str(root)
    return replace(collection, source=where, official=len(collection.parts) > 1)


def _parse(name: str) -> tuple[str, str]:
    kind, colon, rest = name.partition(":")
    if not colon or kind not in _FORMS:
        return "", name
    if not rest:
        raise ConfigError(f"{name!r} names nothing; write {kind}:{_FORMS[kind]}.")
    return kind, rest


def _prefix(path: Path) -> str:
    return "csv" if path.suffix.lower() == ".csv" else "folder"
