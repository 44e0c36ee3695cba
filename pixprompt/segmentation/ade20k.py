"""`ade20k:PATH`: images and their per-pixel labels in the folder layout of ADEChallengeData2016, read when needed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from ..canvas import decode, open_image
from ..core import ConfigError, DataError
from ..data.splits import listed
from ..files.images import walk
from ..seeds import stream

__all__ = ["IGNORED", "LabeledImages", "Labels", "SegmentationData", "load_segmentation"]

logger = logging.getLogger(__name__)

Labels = npt.NDArray[np.uint8]
IGNORED = 255
"""Label of a pixel that neither trains nor counts."""
_NUM_CLASSES = 150
_VAL_SHARE, _VAL_MOST = 0.1, 500


@dataclass(frozen=True)
class LabeledImages:
    """Images with a label for every pixel; nothing is decoded until `read` is called.

    Attributes:
        annotations: As many 8-bit PNG files.
        num_classes: K.
        reduce_zero_label: Label c of a file is class c - 1, and 0 is ignored; otherwise label c is class c.
    """

    images: tuple[Path, ...]
    annotations: tuple[Path, ...]
    num_classes: int
    reduce_zero_label: bool

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, indices: Sequence[int]) -> LabeledImages:
        """Returns the images at `indices`, in that order."""
        images, annotations = ([paths[index] for index in indices] for paths in (self.images, self.annotations))
        return LabeledImages(tuple(images), tuple(annotations), self.num_classes, self.reduce_zero_label)

    def read(self, index: int) -> tuple[Image.Image, Labels]:
        """Returns an upright RGB image and its labels (H, W), 0..K-1 or IGNORED.

        Raises:
            DataError: One of the two cannot be read, they differ in size, or a label is none.
        """
        image, path = decode(self.images[index]), self.annotations[index]
        labels = _read_labels(path)
        if labels.shape != (image.height, image.width):
            raise DataError(
                f"{path}: {labels.shape[1]}x{labels.shape[0]} pixels for an image of {image.width}x{image.height} "
                f"({self.images[index]}); an annotation has the size of its image as it is shown."
            )
        top = self.num_classes if self.reduce_zero_label else self.num_classes - 1
        wrong = labels[(labels > top) & (labels != IGNORED)]
        if wrong.size:
            raise DataError(
                f"{path}: expected labels 0..{top} (or {IGNORED} for pixels to leave out), got {int(wrong.max())}. "
                "Is it of another data set, or a picture of the labels instead of the labels?"
            )
        if self.reduce_zero_label:
            labels = np.where((labels == 0) | (labels == IGNORED), IGNORED, labels - 1).astype(np.uint8)
        return image, labels


@dataclass(frozen=True)
class SegmentationData:
    """A data set with its three splits, which share no image.

    Attributes:
        classes: K names.
        val: Taken out of the training images, for selection.
        test: The validation images of the data set's makers, for the one score at the end.
    """

    name: str
    classes: tuple[str, ...]
    train: LabeledImages
    val: LabeledImages
    test: LabeledImages


def load_segmentation(
    name: str, *, reduce_zero_label: bool = True, val_images: int | None = None, seed: int = 0
) -> SegmentationData:
    """Finds the files of `ade20k:PATH` and draws the split for selection; decodes nothing.

    PATH holds `images/{training,validation}/*.jpg`, `annotations/{training,validation}/*.png` and, with the names of
    the classes, `objectInfo150.txt`; a folder that holds it as ADEChallengeData2016 does as well.

    Args:
        name: ade20k:PATH.
        reduce_zero_label: Label 0 means "none of the classes"; otherwise it is a class of its own, "other".
        val_images: Training images held out for selection; a tenth, at most 500.
        seed: Decides which those are.

    Raises:
        ConfigError: The name has another form, or leaves no image to train on.
        DataError: A folder or an annotation is missing, or the list of classes cannot be read.
    """
    prefix, _, place = name.partition(":")
    if prefix != "ade20k" or not place:
        raise ConfigError(f"expected --data ade20k:PATH, got {name!r}.")
    root = Path(place).expanduser()
    if (root / "ADEChallengeData2016").is_dir():
        root = root / "ADEChallengeData2016"
    names = _class_names(root / "objectInfo150.txt")
    classes = names if reduce_zero_label else ("other", *names)
    training, test = (_pairs(root, part, len(classes), reduce_zero_label) for part in ("training", "validation"))
    num_val = min(max(1, round(_VAL_SHARE * len(training))), _VAL_MOST) if val_images is None else val_images
    if num_val >= len(training):
        raise ConfigError(
            f"{num_val} of {len(training)} training images for selection leave none to train on; lower --val-images."
        )
    order = torch.randperm(len(training), generator=stream(seed, "segmentation", "val")).tolist()
    val, train = sorted(order[:num_val]), sorted(order[num_val:])
    return SegmentationData(name, classes, training.subset(train), training.subset(val), test)


def _pairs(root: Path, part: str, num_classes: int, reduce_zero_label: bool) -> LabeledImages:
    images = _files(root / "images" / part)
    annotations = {path.stem: path for path in _files(root / "annotations" / part) if path.suffix == ".png"}
    missing = [path.name for path in images if path.stem not in annotations]
    if missing:
        raise DataError(
            f"{root / 'annotations' / part}: no .png for {len(missing)} of {len(images)} images: {listed(missing)}."
        )
    stems = [path.stem for path in images]
    double = sorted({stem for stem in stems if stems.count(stem) > 1}) if len(set(stems)) < len(stems) else []
    if double:
        raise DataError(f"{root / 'images' / part}: several images share an annotation: {listed(double)}; keep one.")
    stray = sorted(annotations.keys() - set(stems))
    if stray:
        logger.warning("%s: annotations without an image are left out: %s.", root, listed(stray))
    return LabeledImages(tuple(images), tuple(annotations[stem] for stem in stems), num_classes, reduce_zero_label)


def _files(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: the folder cannot be read ({error.strerror}).")

    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder; expected images/training, images/validation, annotations/training and "
            "annotations/validation, as in ADEChallengeData2016."
        )
    files = [path for path in walk(folder, on_error=refuse) if path.parent == folder]
    if not files:
        raise DataError(f"{folder}: no images found.")
    return files


def _read_labels(path: Path) -> Labels:
    with open_image(path, formats=("PNG",)) as picture:
        if picture.mode not in ("L", "P"):
            raise DataError(
                f"{path}: expected an 8-bit PNG with one label per pixel, this one is {picture.mode}. "
                "Is it a picture of the labels instead of the labels?"
            )
        return np.array(picture)


def _class_names(path: Path) -> tuple[str, ...]:
    """Reads a line per class, `number TAB ... TAB name`; without the file there are ADE20K's 150, without names."""
    if not path.exists():
        return tuple(f"class {number}" for number in range(1, _NUM_CLASSES + 1))
    try:
        rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()[1:] if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}).") from error
    numbers = [row[0].strip() for row in rows]
    if not rows or numbers != [str(number) for number in range(1, len(rows) + 1)] or len(rows) >= IGNORED:
        raise DataError(
            f"{path}: expected a heading, then lines that begin with 1, 2, 3, ... and end with a name, parted by tabs."
        )
    return tuple(row[-1].strip() for row in rows)
