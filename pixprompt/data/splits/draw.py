"""Train, validation and test splits: stratified, by seed, the same on every file system.

Every class is shuffled by a generator of its own, made from (seed, purpose, class). Adding images to one class, or
asking for fewer shots, therefore leaves the order of all the others as it was.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ...core import ConfigError, DataError
from ..image_set import Collection, Data, ImageSet

__all__ = ["SHARE", "SPLITS", "choose", "chosen_parts", "draw_fraction", "draw_shots", "hold_out", "listed", "split"]

logger = logging.getLogger(__name__)

Indices = npt.NDArray[np.int64]
SPLITS = ("train", "val", "test")
SHARE = 0.2
"""Of each class, the part that goes to a split that is missing."""

_PURPOSES = {name: number for number, name in enumerate(("test", "val", "train shots", "val shots"))}
_MAX_NAMES = 5


def split(
    data: Collection,
    *,
    name: str,
    seed: int,
    shots: int | None = None,
    fraction: float | None = None,
    chosen: str | None = None,
) -> Data:
    """Completes the splits of a collection: test and val are held out of train where they are missing.

    Args:
        seed: At least 0; decides which images are held out and which are the shots.
        shots: Images per class in train, and at most as many in val; None takes all. Test is never reduced.
        fraction: Share of the training images of each class, in (0, 1]; None takes all. Val and test are not reduced.
        chosen: "KEY=PART,..." with keys train, val and test: which of the collection's parts is which split.

    Raises:
        ConfigError: The seed, the number of shots, the fraction or the choice makes no sense.
        DataError: A class cannot be represented where it must be.
    """
    _check_numbers(seed, shots, fraction)
    data, notes = choose(data, chosen, name)
    _check(data, name)
    parts = dict(data.parts)
    for part in ("test", "val"):
        if part not in parts:
            rest, held_out = hold_out(parts["train"].labels, seed=seed, purpose=part)
            parts[part], parts["train"] = parts["train"].subset(held_out), parts["train"].subset(rest)
            _check_held_out(parts[part], part, data.classes, name)
            notes.append(f"{part}: {SHARE:.0%} of each class of train, drawn by seed {seed}")
    if shots is not None:
        for part in ("train", "val"):
            parts[part] = parts[part].subset(draw_shots(parts[part].labels, shots, seed=seed, purpose=f"{part} shots"))
        _warn_few(parts["train"], shots, data.classes, name)
    if fraction is not None:
        parts["train"] = parts["train"].subset(draw_fraction(parts["train"].labels, fraction, seed=seed))
        notes.append(f"train: {100 * fraction:g}% of each class, drawn by seed {seed}")
    return Data(
        name,
        data.classes,
        parts["train"],
        parts["val"],
        parts["test"],
        seed=seed,
        notes=tuple(notes),
        source=data.source,
    )


def choose(data: Collection, chosen: str | None, name: str) -> tuple[Collection, list[str]]:
    """Returns a collection whose train, val and test are the chosen parts, and what there is to say about them.

    Args:
        chosen: "KEY=PART,..."; a part that was called otherwise before is no longer what it was.

    Raises:
        ConfigError: The text has another form.
        DataError: There is no such part.
    """
    notes = []
    parts, pairs = dict(data.parts), chosen_parts(chosen)
    for key, part in pairs.items():
        if part not in data.parts:
            raise DataError(f"{name}: --split {key}={part}: there is no {part!r}, only {listed(data.parts)}.")
        parts.pop(part, None)
    parts |= {key: data.parts[part] for key, part in pairs.items()}
    notes += [f"{key}: {part} (--split)" for key, part in pairs.items()]
    if "val" in parts and "test" not in parts and "val" not in pairs:
        notes.append("val: as given, for selection; there is no test split (--split test=val would make val the test)")
    return replace(data, parts=parts), notes


def chosen_parts(chosen: str | None) -> dict[str, str]:
    """Returns split -> part out of "KEY=PART,...".

    Raises:
        ConfigError: The text has another form.
    """
    pairs: dict[str, str] = {}
    for text in (chosen or "").split(",") if chosen else []:
        key, equals, part = (piece.strip() for piece in text.partition("="))
        if not equals or not part or key not in SPLITS or key in pairs:
            raise ConfigError(
                f"expected --split KEY=FOLDER, once for each of train, val and test, got {text.strip()!r}."
            )
        pairs[key] = part
    if len(set(pairs.values())) < len(pairs):
        raise ConfigError(f"--split {chosen}: two splits would be the same images; give each a part of its own.")
    return pairs


def _check_numbers(seed: int, shots: int | None, fraction: float | None) -> None:
    if seed < 0:
        raise ConfigError(f"a seed must be at least 0, got {seed}.")
    if shots is not None and shots < 1:
        raise ConfigError(f"shots must be at least 1 image per class, got {shots}.")
    if fraction is not None and not 0 < fraction <= 1:
        raise ConfigError(f"a fraction must be in (0, 1], got {fraction}.")
    if fraction is not None and shots is not None:
        raise ConfigError("shots and a fraction both reduce the training images; give one of them.")


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


def draw_fraction(labels: npt.NDArray[np.int64], fraction: float, *, seed: int) -> Indices:
    """Returns the sorted indices of a share of each class, at least one image; a smaller share is a subset."""
    shuffled = _shuffled(labels, seed, "train shots")
    chosen = [order[: max(1, round(fraction * len(order)))] for order in shuffled]
    return np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *chosen]))


def listed(names: Iterable[str]) -> str:
    """Returns names for a message: quoted, the first few, and how many more there are."""
    quoted = [repr(name) for name in names]
    more = f" and {len(quoted) - _MAX_NAMES} more" if len(quoted) > _MAX_NAMES else ""
    return ", ".join(quoted[:_MAX_NAMES]) + more


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
    if data.official:
        _warn_lacking(data, name)
    else:
        _check_train(data, name)
    for part in SPLITS[1:]:
        if part in data.parts:
            _check_split(data, part, name)


def _check_classes(classes: tuple[str, ...], name: str) -> None:
    if len(classes) < 2:
        raise DataError(f"{name}: expected at least two classes, found {len(classes)}: {listed(classes) or 'none'}.")
    first_places: dict[str, str] = {}
    for label in classes:
        # Text prompts write all of these the same, so the model could not tell them apart.
        plain = re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", label).casefold()).strip()
        if plain in first_places:
            raise DataError(
                f"{name}: the classes {first_places[plain]!r} and {label!r} differ only in case, '_', '-' or spaces; "
                "merge or rename one of them."
            )
        first_places[plain] = label


def _warn_lacking(data: Collection, name: str) -> None:
    counts = _count(data.parts["train"], data.classes)
    lacking = [label for label, count in zip(data.classes, counts, strict=True) if count == 0]
    if lacking:
        logger.warning("%s: its train split has no image of %s; nothing can be learned of them.", name, listed(lacking))


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
        raise DataError(f"{name}: the {part} split has no images; add some, or remove it and let it be held out.")
    missing = [label for label, count in zip(data.classes, counts, strict=True) if count == 0]
    if missing:
        logger.warning("%s: %s has no image of %s; its accuracy says nothing about them.", name, part, listed(missing))


def _check_held_out(images: ImageSet, part: str, classes: tuple[str, ...], name: str) -> None:
    if not len(images):
        raise DataError(
            f"{name}: no class has the 2 images that it takes to hold a {part} split out of train; "
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
