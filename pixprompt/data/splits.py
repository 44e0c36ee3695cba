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

from ..core import ConfigError, DataError
from .image_set import Collection, Data, ImageSet

__all__ = ["SHARE", "SPLITS", "carve", "few", "listed", "split"]

logger = logging.getLogger(__name__)

Indices = npt.NDArray[np.int64]
SPLITS = ("train", "val", "test")
SHARE = 0.2
"""Of each class, the part that goes to a split that has to be carved."""

_PURPOSES = {name: number for number, name in enumerate(("test", "val", "train shots", "val shots"))}
_SHOWN = 5


def split(found: Collection, *, name: str, seed: int, shots: int | None = None) -> Data:
    """Completes the splits of a collection: test and val are carved out of train where they are missing.

    Args:
        found: The collection as it was read.
        name: What the user typed, for messages.
        seed: At least 0; decides which images are carved and which are the shots.
        shots: Images per class in train, and at most as many in val; None takes all. Test is never reduced.

    Raises:
        ConfigError: The seed or the number of shots makes no sense.
        DataError: A class cannot be represented where it must be.
    """
    if seed < 0:
        raise ConfigError(f"a seed must be at least 0, got {seed}.")
    if shots is not None and shots < 1:
        raise ConfigError(f"shots must be at least 1 image per class, got {shots}.")
    _check(found, name)
    parts = dict(found.parts)
    for part in ("test", "val"):
        if part not in parts:
            rest, carved = carve(parts["train"].labels, seed=seed, purpose=part)
            parts[part], parts["train"] = parts["train"].subset(carved), parts["train"].subset(rest)
            _check_carved(parts[part], part, found.classes, name)
    if shots is not None:
        for part in ("train", "val"):
            parts[part] = parts[part].subset(few(parts[part].labels, shots, seed=seed, purpose=f"{part} shots"))
        _warn_few(parts["train"], shots, found.classes, name)
    return Data(name, found.classes, parts["train"], parts["val"], parts["test"], seed=seed)


def carve(labels: npt.NDArray[np.int64], *, seed: int, purpose: str) -> tuple[Indices, Indices]:
    """Splits indices into (rest, carved) with SHARE of each class carved, at least one image on both sides.

    A class of one image stays in the rest.

    Args:
        labels: (N,) class indices.
        seed: At least 0.
        purpose: What the carved images are for; another purpose draws other images.

    Returns:
        Two sorted index arrays that share nothing and together hold 0..N-1.
    """
    chosen = np.zeros(len(labels), dtype=bool)
    for shuffled in _shuffled(labels, seed, purpose):
        count = min(max(1, round(SHARE * len(shuffled))), len(shuffled) - 1)
        chosen[shuffled[:count]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def few(labels: npt.NDArray[np.int64], shots: int, *, seed: int, purpose: str) -> Indices:
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


def _check(found: Collection, name: str) -> None:
    _check_classes(found.classes, name)
    if "train" not in found.parts:
        raise DataError(f"{name}: there is no train split, only {listed(found.parts)}; add one.")
    _check_train(found, name)
    for part in SPLITS[1:]:
        if part in found.parts:
            _check_given(found, part, name)


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


def _check_train(found: Collection, name: str) -> None:
    counts = _count(found.parts["train"], found.classes)
    elsewhere = [(part, _count(found.parts[part], found.classes)) for part in SPLITS[1:] if part in found.parts]
    for part, others in elsewhere:
        lacking = [label for label, here, there in zip(found.classes, counts, others, strict=True) if there > here == 0]
        if lacking:
            raise DataError(f"{name}: {part} has classes that train lacks: {listed(lacking)}; add training images.")
    empty = [label for label, count in zip(found.classes, counts, strict=True) if count == 0]
    if empty:
        raise DataError(f"{name}: classes without a single image: {listed(empty)}; add images or remove the class.")
    small = [f"{label} ({count})" for label, count in zip(found.classes, counts, strict=True) if count < 3]
    if small and not elsewhere:
        raise DataError(
            f"{name}: too few images to split these classes into train, val and test: {listed(small)}; "
            "each class needs at least 3."
        )


def _check_given(found: Collection, part: str, name: str) -> None:
    counts = _count(found.parts[part], found.classes)
    if not counts.sum():
        raise DataError(f"{name}: the {part} split has no images; add some, or remove it and let it be carved.")
    missing = [label for label, count in zip(found.classes, counts, strict=True) if count == 0]
    if missing:
        logger.warning("%s: %s has no image of %s; its accuracy says nothing about them.", name, part, listed(missing))


def _check_carved(carved: ImageSet, part: str, classes: tuple[str, ...], name: str) -> None:
    if not len(carved):
        raise DataError(
            f"{name}: no class has the 2 images that it takes to carve a {part} split out of train; "
            f"add images, or give a {part} split."
        )
    counts = _count(carved, classes)
    missing = [label for label, count in zip(classes, counts, strict=True) if count == 0]
    if missing:
        logger.warning("%s: one image only of %s; it stays in train, and %s has none.", name, listed(missing), part)


def _warn_few(train: ImageSet, shots: int, classes: tuple[str, ...], name: str) -> None:
    fewer = [
        f"{label} ({count})" for label, count in zip(classes, _count(train, classes), strict=True) if count < shots
    ]
    if fewer:
        logger.warning("%s: fewer than %d training images of %s; all of them are taken.", name, shots, listed(fewer))
