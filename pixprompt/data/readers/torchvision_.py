"""torchvision's data sets by short name, below $PIXPROMPT_DATA (~/.cache/pixprompt/data without it).

torchvision is imported when a set is read, not before. CIFAR is read by `cifar`, since torchvision's reader unpickles.
"""

from __future__ import annotations

import os
import re
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np

from ...core import DataError
from ..image_set import Collection, ImageSet, from_arrays, from_files
from ..registry import DATASETS
from .cifar import cifar_reader
from .digits import NUMBER_WORDS

__all__ = ["TorchvisionSet", "data_folder"]

_FAILURES = (RuntimeError, OSError, ValueError, KeyError, EOFError, HTTPException, tarfile.TarError, zipfile.BadZipFile)

_DIGITS = tuple(str(number) for number in range(10))
_SPEEDS = ("20", "30", "50", "60", "70", "80")
_SIGNS = (
    *(f"speed limit {speed}" for speed in _SPEEDS),
    "end of speed limit 80", "speed limit 100", "speed limit 120", "no overtaking", "no overtaking by trucks",
    "right of way at the next crossing", "priority road", "yield", "stop", "no vehicles", "no trucks", "no entry",
    "general danger", "dangerous curve to the left", "dangerous curve to the right", "double curve", "bumpy road",
    "slippery road", "road narrows on the right", "road works", "traffic signals", "pedestrians", "children crossing",
    "bicycles crossing", "ice or snow", "wild animals crossing", "end of all limits", "turn right ahead",
    "turn left ahead", "ahead only", "straight ahead or right", "straight ahead or left", "keep right", "keep left",
    "roundabout", "end of no overtaking", "end of no overtaking by trucks",
)  # fmt: skip


def data_folder() -> Path:
    """Returns the folder of downloaded data: $PIXPROMPT_DATA, or ~/.cache/pixprompt/data."""
    chosen = os.environ.get("PIXPROMPT_DATA")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "pixprompt" / "data"


def _from_attributes(paths: str, labels: str) -> Callable[[Any, str], ImageSet]:
    def read(dataset: Any, prefix: str) -> ImageSet:
        return _sorted_files(list(zip(getattr(dataset, paths), getattr(dataset, labels), strict=True)))

    return read


def _from_pairs(pairs: str) -> Callable[[Any, str], ImageSet]:
    return lambda dataset, prefix: _sorted_files(list(getattr(dataset, pairs)))


def _sorted_files(pairs: list[tuple[str | Path, int]]) -> ImageSet:
    # Some of torchvision's sets list files in the order of the file system.
    pairs = sorted((str(path), int(label)) for path, label in pairs)
    return from_files([path for path, _ in pairs], [label for _, label in pairs])


def _in_memory(labels: str, *, channels_first: bool = False) -> Callable[[Any, str], ImageSet]:
    def read(dataset: Any, prefix: str) -> ImageSet:
        pixels = np.asarray(dataset.data)
        pixels = pixels.transpose(0, 2, 3, 1) if channels_first else pixels
        return from_arrays(pixels, np.asarray(getattr(dataset, labels)), prefix=prefix)

    return read


def _by_count(dataset: Any, prefix: str) -> ImageSet:
    # CLEVR's labels are the numbers of objects, 3 to 10.
    return _sorted_files([(path, count - 3) for path, count in zip(dataset._image_files, dataset._labels, strict=True)])


_FILES = _from_attributes("_image_files", "_labels")
_SPLIT = {part: {"split": part} for part in ("train", "val", "test")}
_TWO = {part: {"split": part} for part in ("train", "test")}
_FLAG = {"train": {"train": True}, "test": {"train": False}}
_ONE: dict[str, dict[str, Any]] = {"train": {}}


@dataclass(frozen=True)
class TorchvisionSet:
    """Reads one of torchvision's data sets when called.

    Attributes:
        name: Its short name here.
        kind: Its class in torchvision.datasets.
        place: What lies where below the data folder once the set is there.
        parts: Our split -> arguments of the class.
        read: (torchvision's object, prefix of names) -> images.
        classes: Class names where torchvision has none that suit a text prompt.
    """

    name: str
    kind: str
    place: str
    parts: Mapping[str, Mapping[str, Any]]
    read: Callable[[Any, str], ImageSet]
    classes: tuple[str, ...] = ()

    def __call__(self) -> Collection:
        """Finds the set, downloads it where it is missing.

        Raises:
            DataError: It is neither there nor to be had.
        """
        datasets = {part: self._find(arguments) for part, arguments in self.parts.items()}
        parts = {part: self.read(dataset, f"{self.name}/{part}") for part, dataset in datasets.items()}
        return Collection(self.classes or self._classes_of(datasets["train"]), parts)

    def _find(self, arguments: Mapping[str, Any]) -> Any:
        from torchvision import datasets

        build = cifar_reader(self.kind) if self.kind.startswith("CIFAR") else getattr(datasets, self.kind)
        try:
            return build(str(data_folder()), **arguments)
        except ImportError as error:
            raise self._missing_package(error) from error
        except _FAILURES:
            pass
        try:
            return build(str(data_folder()), **arguments, download=True)
        except ImportError as error:
            raise self._missing_package(error) from error
        except _FAILURES as error:
            raise DataError(
                f"{self.name}: looked for {data_folder() / self.place}, found nothing usable, and could not download "
                f"it ({error}). Put it there by hand, or set PIXPROMPT_DATA to the folder that holds it."
            ) from error

    def _missing_package(self, error: ImportError) -> DataError:
        return DataError(f"{self.name}: torchvision needs {error.name} to read it; pip install {error.name}.")

    def _classes_of(self, dataset: Any) -> tuple[str, ...]:
        try:
            names: Sequence[str] = dataset.classes
        except AttributeError as error:
            raise DataError(
                f"{self.name}: this torchvision gives no class names for it; update torchvision."
            ) from error
        return tuple(_words(name) for name in names)


def _words(name: str) -> str:
    """Returns a class name as words: "AnnualCrop" -> "annual crop", "hard-leaved_orchid" -> "hard leaved orchid"."""
    if re.fullmatch(r"(?:[A-Z][a-z]+){2,}", name):
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    name = name.lower().replace("_", " ")
    name = re.sub(r"(?<=[a-z]{2})/(?=[a-z]{2})", " ", name)
    # Between letters only: "707-320" and "dc-10" are names, not words.
    return re.sub(r"(?<=[a-z])-(?=[a-z])", " ", name)


_SETS = (
    (TorchvisionSet("cifar10", "CIFAR10", "cifar-10-batches-py/", _FLAG, _in_memory("targets")),
     "60,000 photos of 32x32 pixels, 10 classes"),
    (TorchvisionSet("cifar100", "CIFAR100", "cifar-100-python/", _FLAG, _in_memory("targets")),
     "60,000 photos of 32x32 pixels, 100 classes"),
    (TorchvisionSet("clevr", "CLEVRClassification", "clevr/CLEVR_v1.0/",
                    {"train": {"split": "train"}, "test": {"split": "val"}}, _by_count, NUMBER_WORDS[3:11]),
     "85,000 rendered scenes, the number of objects, 8 classes; its val split is the test split here"),
    (TorchvisionSet("dtd", "DTD", "dtd/dtd/", _SPLIT, _FILES), "5,640 textures, 47 classes"),
    (TorchvisionSet("eurosat", "EuroSAT", "eurosat/2750/", _ONE, _from_pairs("samples")),
     "27,000 satellite images, 10 kinds of land use"),
    (TorchvisionSet("fashion-mnist", "FashionMNIST", "FashionMNIST/raw/", _FLAG, _in_memory("targets")),
     "70,000 grey images of clothes, 28x28 pixels, 10 classes"),
    (TorchvisionSet("fgvc-aircraft", "FGVCAircraft", "fgvc-aircraft-2013b/", _SPLIT, _FILES),
     "10,000 photos of aircraft, 100 variants"),
    (TorchvisionSet("flowers102", "Flowers102", "flowers-102/", _SPLIT, _FILES),
     "8,189 photos of flowers, 102 classes"),
    (TorchvisionSet("food101", "Food101", "food-101/", _TWO, _FILES), "101,000 photos of dishes, 101 classes"),
    (TorchvisionSet("gtsrb", "GTSRB", "gtsrb/GTSRB/", _TWO, _from_pairs("_samples"), _SIGNS),
     "39,270 photos of German traffic signs, 43 classes"),
    (TorchvisionSet("mnist", "MNIST", "MNIST/raw/", _FLAG, _in_memory("targets"), _DIGITS),
     "70,000 handwritten digits of 28x28 pixels, 10 classes"),
    (TorchvisionSet("oxford-pets", "OxfordIIITPet", "oxford-iiit-pet/",
                    {"train": {"split": "trainval"}, "test": {"split": "test"}},
                    _from_attributes("_images", "_labels")),
     "7,349 photos of cats and dogs, 37 breeds"),
    (TorchvisionSet("stanford-cars", "StanfordCars", "stanford_cars/", _TWO, _from_pairs("_samples")),
     "16,185 photos of cars, 196 models"),
    (TorchvisionSet("stl10", "STL10", "stl10_binary/", _TWO, _in_memory("labels", channels_first=True)),
     "13,000 photos of 96x96 pixels, 10 classes"),
    (TorchvisionSet("sun397", "SUN397", "SUN397/", _ONE, _FILES), "108,754 photos of places, 397 classes"),
    (TorchvisionSet("svhn", "SVHN", "train_32x32.mat and test_32x32.mat", _TWO,
                    _in_memory("labels", channels_first=True), _DIGITS),
     "99,289 photos of house numbers, 32x32 pixels, 10 classes"),
)  # fmt: skip

for _set, _line in _SETS:
    DATASETS.register(_set.name, _line)(_set)
