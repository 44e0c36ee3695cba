"""Train, validation and test splits: stratified, by seed, the same on every file system.

Every class is shuffled by a generator of its own, made from (seed, purpose, class). Adding images to one class, or
asking for fewer shots, therefore leaves the order of all the others as it was.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ...core import ConfigError, DataError
from ..image_set import Collection, Data, ImageSet

__all__ = ["SHARE", "SPLITS", "draw_shots", "hold_out", "listed", "split"]

logger = logging.getLogger(__name__)

Indices = npt.NDArray[np.int64]
SPLITS = ("train", "val", "test")
SHARE = 0.2
"""Of each class, the part that goes to a split that is missing."""

_PURPOSES = {name: number for number, name in enumerate(("test", "val", "train shots", "val shots"))}
_SHOWN = 5


def split(data: Collection, *, name: str, seed: int, shots: int | None = None) -> Data:
    """Completes the splits of a collection: test and val are held out of train where they are missing.

    Args:
        data: The collection as it was read.
        name: What the user typed, for messages.
        seed: At least 0; decides which images are held out and which are the shots.
        shots: Images per class in train, and at most as many in val; None takes all. Test is never reduced.

    Raises:
        ConfigError: The seed or the number of shots makes no sense.
        DataError: A class cannot be represented where it must be.
    """
    if seed < 0:
        raise ConfigError(f"a seed must be at least 0, got {seed}.")
    if shots is not None and shots < 1:
        raise ConfigError(f"shots must be at least 1 image per class, got {shots}.")
    _check(data, name)
    parts = dict(data.parts)
    for part in ("test", "val"):
        if part not in parts:
            rest, held_out = hold_out(parts["train"].labels, seed=seed, purpose=part)
            parts[part], parts["train"] = parts["train"].subset(held_out), parts["train"].subset(rest)
            _check_held_out(parts[part], part, data.classes, name)
    if shots is not None:
        for part in ("train", "val"):
            parts[part] = parts[part].subset(draw_shots(parts[part].labels, shots, seed=seed, purpose=f"{part} shots"))
        _warn_few(parts["train"], shots, data.classes, name)
    return Data(name, data.classes, parts["train"], parts["val"], parts["test"], seed=seed)


def hold_out(labels: npt.NDArray[np.int64], *, seed: int, purpose: str) -> tuple[Indices, Indices]:
    """Splits indices into (rest, held out) with SHARE of each class held out, at least one image on both sides.

    A class of one image stays in the rest.

    Args:
        labels: (N,) class indices.
        seed: At least 0.
        purpose: What the held-out images are for; another purpose draws other images.

    Returns:
        Two sorted index arrays that share nothing and together hold 0..N-1.
    """
    chosen = np.zeros(len(labels), dtype=bool)
    for shuffled in _shuffled(labels, seed, purpose):
        count = min(max(1, round(SHARE * len(shuffled))), len(shuffled) - 1)
        chosen[shuffled[:count]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def draw_shots(labels: npt.NDArray[np.int64], shots: int, *, seed: int, purpose: str) -> Indices:
    """Returns the sorted indices of at most `shots` images of each class; fewer shots are a subset of more."""
    chosen = [shuffled[:shots] for shuffled in _shuffled(labels, seed, purpose)]
    return np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *chosen]))


def listed(names: Iterable[str]) -> str:
    """Returns names for a message: quoted, the first few, and how many more there are."""
    quoted = [repr(name) for name in names]
    more = f" and {len(quoted) - _SHOWN} more" if len(quoted) > _SHOWN else ""
    return ", ".join(quoted[:_SHOWN]) + more


def _shuffled(labels: npt.NDArray[np.int64], seed: int, purpose: str) -> Iterable[Indices]:
    for label in np.unique(labels):
        generator = np.random.default_rng([seed, _PURPOSES[purpose], int(label)])
        yield generator.permutation(np.flatnonzero(labels == label))


def _count(images: ImageSet, classes: tuple[str, ...]) -> npt.NDArray[np.int64]:
    return np.bincount(images.labels, minlength=len(classes))


def _check(data: Collection, name: str) -> None:
    _check_classes(data.classes, name)
    if "train" not in data.parts:
        raise DataError(f"{name}: there is no train split, only {listed(data.parts)}; add one.")
    _check_train(data, name)
    for part in SPLITS[1:]:
        if part in data.parts:
            _check_split(data, part, name)


def _check_classes(classes: tuple[str, ...], name: str) -> None:
    if len(classes) < 2:
        raise DataError(f"{name}: expected at least two classes, found {len(classes)}: {listed(classes) or 'none'}.")
    seen: dict[str, str] = {}
    for label in classes:
        # Text prompts write all of these the same, so the model could not tell them apart.
        plain = re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", label).casefold()).strip()
        if plain in seen:
            raise DataError(
                f"{name}: the classes {seen[plain]!r} and {label!r} differ only in case, '_', '-' or spaces; "
                "merge or rename one of them."
            )
        seen[plain] = label


def _check_train(data: Collection, name: str) -> None:
    counts = _count(data.parts["train"], data.classes)
    other_counts = [(part, _count(data.parts[part], data.classes)) for part in SPLITS[1:] if part in data.parts]
    for part, others in other_counts:
        missing = [label for label, here, there in zip(data.classes, counts, others, strict=True) if there > here == 0]
        if missing:
            raise DataError(f"{name}: {part} has classes that train lacks: {listed(missing)}; add training images.")
    empty = [label for label, count in zip(data.classes, counts, strict=True) if count == 0]
    if empty:
        raise DataError(f"{name}: classes without a single image: {listed(empty)}; add images or remove the class.")
    small = [f"{label} ({count})" for label, count in zip(data.classes, counts, strict=True) if count < 3]
    if small and not other_counts:
        raise DataError(
            f"{name}: too few images to split these classes into train, val and test: {listed(small)}; "
            "each class needs at least 3."
        )


def _check_split(data: Collection, part: str, name: str) -> None:
    counts = _count(data.parts[part], data.classes)
    if not counts.sum():
        raise DataError(f"{name}: the {part} split has no images; add some, or remove it and let it be carved.")
    missing = [label for label, count in zip(data.classes, counts, strict=True) if count == 0]
    if missing:
        logger.warning("%s: %s has no image of %s; its accuracy says nothing about them.", name, part, listed(missing))


def _check_held_out(images: ImageSet, part: str, classes: tuple[str, ...], name: str) -> None:
    if not len(images):
        raise DataError(
            f"{name}: no class has the 2 images that it takes to carve a {part} split out of train; "
            f"add images, or give a {part} split."
        )
    counts = _count(images, classes)
    missing = [label for label, count in zip(classes, counts, strict=True) if count == 0]
    if missing:
        logger.warning("%s: one image only of %s; it stays in train, and %s has none.", name, listed(missing), part)


def _warn_few(train: ImageSet, shots: int, classes: tuple[str, ...], name: str) -> None:
    fewer = [
        f"{label} ({count})" for label, count in zip(classes, _count(train, classes), strict=True) if count < shots
    ]
    if fewer:
        logger.warning("%s: fewer than %d training images of %s; all of them are taken.", name, shots, listed(fewer))
