"""From what a user types after `--data` to images."""

from __future__ import annotations

from pathlib import Path

from ..core import ConfigError, UnknownName
from .image_set import Collection, Data, ImageSet, join
from .readers.csv_ import read_csv
from .readers.folders import read_folder, read_images
from .registry import DATASETS
from .splits import SPLITS, split

__all__ = ["load_data", "load_images"]


def load_data(name: str, *, seed: int = 0, shots: int | None = None) -> Data:
    """Finds a labelled data set and splits it; decodes nothing.

    Args:
        name: A name of DATASETS, "folder:PATH" or "csv:FILE".
        seed: Decides the splits that are missing, and the shots.
        shots: Images per class in train and at most in val; None takes all.

    Raises:
        ConfigError: The seed, the shots or the name make no sense.
        DataError: The images or labels cannot be used as they are.
    """
    return split(_collection(name), name=name, seed=seed, shots=shots)


def load_images(name: str) -> ImageSet:
    """Finds images whose labels do not matter: all splits of a data set, all below a folder, or one image file.

    Args:
        name: What `load_data` takes, or a plain path to a folder or an image.

    Returns:
        The images in a fixed order; those of a folder are unlabelled, whatever its layout.

    Raises:
        ConfigError: Nothing goes by that name.
        DataError: The images cannot be found or read.
    """
    kind, path = _parse(name)
    if kind == "folder":
        return read_images(path)
    if kind == "" and name not in DATASETS and path.exists():
        return read_images(path)
    parts = _collection(name).parts
    return join([parts[part] for part in SPLITS if part in parts])


def _collection(name: str) -> Collection:
    kind, path = _parse(name)
    if kind == "folder":
        return read_folder(path)
    if kind == "csv":
        return read_csv(path)
    if name not in DATASETS and path.exists():
        raise UnknownName(f"{name!r} is no data set; it is a path. Write {_prefix(path)}:{name} instead.")
    return DATASETS[name]()


def _parse(name: str) -> tuple[str, Path]:
    kind, colon, rest = name.partition(":")
    if not colon or kind not in ("folder", "csv"):
        return "", Path(name).expanduser()
    if not rest:
        raise ConfigError(f"{name!r} names no {kind}; write {kind}:{'FILE' if kind == 'csv' else 'PATH'}.")
    return kind, Path(rest).expanduser()


def _prefix(path: Path) -> str:
    return "csv" if path.suffix.lower() == ".csv" else "folder"
