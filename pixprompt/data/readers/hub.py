"""`hf:NAME`: a data set of the Hugging Face hub, or of a folder, through the library `datasets`, of the extra `hf`."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from PIL import Image

from ...canvas import decode
from ...core import ConfigError, DataError
from ..image_set import Collection, ImageSet
from ..splits import listed
from .folders import SPLIT_NAMES

__all__ = ["read_hub"]

logger = logging.getLogger(__name__)


def read_hub(name: str) -> Collection:
    """Reads NAME or NAME@CONFIGURATION; downloads what is not there yet, with that library's bars. Decodes nothing.

    The first column of images and the first column of class labels count. No code of a data set is run.

    Raises:
        ConfigError: The library is not installed.
        DataError: The set cannot be had, or has no such columns.
    """
    try:
        import datasets
    except ImportError as error:
        raise ConfigError(
            f"hf:{name} needs the package {error.name}, which is not installed: pip install 'pixprompt[hf]'."
        ) from error
    target, _, configuration = name.partition("@")
    try:
        dataset = datasets.load_dataset(target, configuration or None)
    except Exception as error:  # the library raises errors of any type
        raise DataError(f"hf:{name}: cannot be loaded ({type(error).__name__}: {error}).") from error
    first = next(iter(dataset.values()))
    image = _column(first, name, datasets.Image, "images")
    label = _column(first, name, datasets.ClassLabel, "class labels")
    classes = tuple(str(each) for each in first.features[label].names)
    parts = {
        SPLIT_NAMES.get(str(part).lower(), str(part)): _images(
            rows.cast_column(image, datasets.Image(decode=False)), image, label, f"hf:{name}/{part}"
        )
        for part, rows in dataset.items()
    }
    for part in [part for part, images in parts.items() if (images.labels < 0).any()]:
        logger.warning("hf:%s: %s holds images without a label and is left out.", name, part)
        del parts[part]
    return Collection(classes, parts, source=f"the hub or its cache, as {target}")


def _column(rows: Any, name: str, kind: type[Any], what: str) -> str:
    columns = [str(column) for column, feature in rows.features.items() if isinstance(feature, kind)]
    if not columns:
        raise DataError(f"hf:{name}: expected a column of {what}, found {listed(rows.features)}.")
    return columns[0]


def _images(rows: Any, image: str, label: str, prefix: str) -> ImageSet:
    labels = np.array(list(rows[label]), dtype=np.int64)
    width = len(str(max(0, len(rows) - 1)))
    numbers = [f"{index:0{width}d}" for index in range(len(rows))]
    fingerprint = rows._fingerprint

    def content(index: int) -> bytes:
        cell = rows[index][image]
        if cell.get("bytes") is not None:
            return bytes(cell["bytes"])
        with open(cell["path"], "rb") as file:
            return file.read()

    def open_image(index: int) -> Image.Image:
        return decode(content(index))

    return ImageSet(
        tuple(f"{prefix}/{number}" for number in numbers),
        labels,
        tuple(f"{prefix}/{fingerprint}/{number}" for number in numbers),
        open_image,
        content,
    )
