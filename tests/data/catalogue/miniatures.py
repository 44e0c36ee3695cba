"""Every data set in miniature: a folder in its official layout, with a few images of two classes in each split."""

from __future__ import annotations

import csv
import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from pixprompt.data.catalogue import DataSet
from pixprompt.data.readers.holding_out import FirstShare
from pixprompt.data.readers.official.annotated import AnnotatedImages
from pixprompt.data.readers.official.arrays import Idx
from pixprompt.data.readers.official.digits import Digits
from pixprompt.data.readers.official.layout import Files, Layout
from pixprompt.data.readers.official.torchvision_ import Torchvision
from pixprompt.data.readers.rows import ClassFolders, CoOpSplit, CubTables, MatList, PathLabels, Table, TextList

from ..readers.test_cifar import batch, dictionary, text

__all__ = ["PER_CLASS", "build", "sizes"]

PER_CLASS = {"train": 5, "val": 3, "test": 4, "id_val": 2, "id_test": 6}
"""Images of each of the two classes in each split."""
_NAMES = ("alpha", "beta")


def build(data: DataSet, folder: Path) -> None:
    """Writes the miniature of a data set into what will be its data folder."""
    root = folder / data.place
    root.mkdir(parents=True, exist_ok=True)
    _build(data.layout, root)


def sizes(data: DataSet) -> dict[str, int]:
    """The number of images in each split of its miniature."""
    if isinstance(data.layout, FirstShare):
        return {"train": 8, "val": 2, "test": 8}
    parts = [part for part in PER_CLASS if part in _parts(data.layout)]
    per_class = 1 if isinstance(data.layout, AnnotatedImages) else 2
    return {part: per_class * PER_CLASS[part] for part in parts}


def _parts(layout: Layout) -> Sequence[str]:
    return ("train", "test") if isinstance(layout, Idx) else tuple(layout.parts)  # type: ignore[attr-defined]


def _build(layout: Layout, root: Path) -> None:
    if isinstance(layout, FirstShare):
        _build(layout.layout, root)
    elif isinstance(layout, Files):
        _files(layout, root)
    elif isinstance(layout, Idx):
        _idx(root)
    elif isinstance(layout, AnnotatedImages):
        for split, part in layout.parts.items():
            for index in range(PER_CLASS[split]):
                picture(root / "images" / part / f"{index}.jpg")
                picture(root / "annotations" / part / f"{index}.png")
    elif isinstance(layout, Torchvision):
        _TORCHVISION[layout.kind](root)
    else:
        assert isinstance(layout, Digits)


_number = 0


def picture(path: Path) -> None:
    """Writes an image of one pixel, of another colour each time, and larger than the smallest of its colour."""
    global _number
    _number += 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"P6 1 1 255\n" + _number.to_bytes(3, "big"))


def _pixels(count: int) -> np.ndarray[Any, Any]:
    global _number
    _number += 1
    return np.random.default_rng(_number).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def _rows(split: str) -> list[tuple[int, int]]:
    """Class and number of each image."""
    return [(label, index) for label in (0, 1) for index in range(PER_CLASS[split])]


# Lists of files ------------------------------------------------------------------------------------------------------


def _files(layout: Files, root: Path) -> None:
    writers: dict[type[Any], Callable[..., None]] = {
        ClassFolders: _class_folders,
        TextList: _text_list,
        CoOpSplit: _coop,
        PathLabels: _path_labels,
        CubTables: _cub,
        MatList: _mat_list,
        Table: _table,
    }
    for split, rows in layout.parts.items():
        named = any(isinstance(each, ClassFolders) for each in layout.parts.values())
        writers[type(rows)](rows, split, root, _NAMES if named else ("0", "1"))
    for drop in layout.drop:
        picture(root / layout.needs[0] / drop / "0.jpg")


def _class_folders(rows: ClassFolders, split: str, root: Path, labels: Sequence[str]) -> None:
    for label, index in _rows(split):
        suffix = "jpg" if index else "JPG"
        picture(root / rows.path / labels[label] / rows.inner / f"{split}_{index}.{suffix}")


def _text_list(rows: TextList, split: str, root: Path, labels: Sequence[str]) -> None:
    folder = "" if rows.images else f"images/{split}/"
    lines = []
    for label, index in _rows(split):
        name = f"{folder}{split}_{label}_{index}.jpg"
        picture(root / rows.images / name)
        lines.append(f"{name}\t{labels[label]}\t0\t0" if rows.images else f"{name} {labels[label]}")
    _write(root / rows.file, lines)


def _coop(rows: CoOpSplit, split: str, root: Path, labels: Sequence[str]) -> None:
    path = root / rows.file
    content = json.loads(path.read_text()) if path.exists() else {}
    items = [[f"{split}_{label}_{index}.jpg", label, _NAMES[label]] for label, index in _rows(split)]
    for name, _, _ in items:
        picture(root / rows.images / str(name))
    path.write_text(json.dumps({**content, split: items}))


def _path_labels(rows: PathLabels, split: str, root: Path, labels: Sequence[str]) -> None:
    content = {}
    for label, index in _rows(split):
        name = f"{split}/{index}_{label}.jpg"
        picture(root / rows.images / name)
        content[name] = label + 1
    (root / rows.file).write_text(json.dumps(content))
    _write(root / "classes.txt", ["1 001.Alpha", "2 002.Beta", "3 003.Parent_Of_Both"])
    _mat(root / "devkit/cars_meta.mat", class_names=np.array(_NAMES, dtype=object))


def _cub(rows: CubTables, split: str, root: Path, labels: Sequence[str]) -> None:
    tables: dict[str, list[str]] = {name: [] for name in rows.needs[1:4]}
    for label, index in _rows(split):
        name, key = f"{label}/{split}_{index}.jpg", f"{split}-{label}-{index}"
        picture(root / "images" / name)
        for table, value in zip(tables, (name, f"{label + 1:03d}", str(int(rows.train))), strict=True):
            tables[table].append(f"{key} {value}")
    for table, lines in tables.items():
        old = (root / table).read_text().splitlines() if (root / table).exists() else []
        _write(root / table, [*old, *lines])
    _write(root / "classes.txt", ["1 001.Alpha", "2 002.Beta", "3 003.Parent_Of_Both"])


def _mat_list(rows: MatList, split: str, root: Path, labels: Sequence[str]) -> None:
    paths = [f"n0{label}-{_NAMES[label]}/{split}_{index}.jpg" for label, index in _rows(split)]
    for path in paths:
        picture(root / rows.images / path)
    _mat(root / rows.file, file_list=np.array([[path] for path in paths], dtype=object))


def _table(rows: Table, split: str, root: Path, labels: Sequence[str]) -> None:
    path = root / rows.file
    lines = list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []
    for label, index in _rows(split):
        line = {column: values[index % len(values)] for column, values in rows.where.items()}
        line = {"split": "0", "patient": "007", "node": "1", "x_coord": str(index), "y_coord": split, **line}
        line |= {"filename": f"{split}_{label}_{index}.jpg", "tumor": str(label), "y": str(label)}
        line["category"] = ("airport", "zoo")[label]
        first, end = rows.between[1:] if rows.between else ("0", "2000")
        line["timestamp"] = f"{first}-02-03T04:05:06Z" if first != "0" else "2002-02-03T04:05:06Z"
        line["x_coord"] += str(label)
        picture(root / rows.path.format(row=len(lines), **line))
        lines.append(line)
        assert first < end
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)
    _write(root / "categories.csv", ["y,name", "0,empty", "1,tayassu pecari", "2,never_seen"])


# Files of arrays -----------------------------------------------------------------------------------------------------


def _idx(root: Path) -> None:
    for split, name in (("train", "train"), ("test", "t10k")):
        pixels, labels = _pixels(2 * PER_CLASS[split])[:, :28, :28, 0], [label for label, _ in _rows(split)]
        content = struct.pack(">HBBIII", 0, 8, 3, *pixels.shape) + pixels.tobytes()
        (root / f"{name}-images-idx3-ubyte").write_bytes(content)
        content = struct.pack(">HBBI", 0, 8, 1, len(labels)) + bytes(labels)
        (root / f"{name}-labels-idx1-ubyte").write_bytes(content)


def _cifar(root: Path, folder: str, files: dict[str, tuple[str, ...]], key: str, meta: tuple[str, str]) -> None:
    (root / folder).mkdir(parents=True)
    for split, names in files.items():
        labels, pixels = [label for label, _ in _rows(split)], _pixels(2 * PER_CLASS[split]).reshape(-1, 3072)
        for number, name in enumerate(names):
            part = slice(number, None, len(names))
            (root / folder / name).write_bytes(batch(pixels[part], labels[part], key))
    listed = b"](" + b"".join(map(text, _NAMES)) + b"e"
    (root / folder / meta[0]).write_bytes(dictionary(**{meta[1]: listed}))


def _svhn(root: Path) -> None:
    for split in ("train", "test"):
        pixels = _pixels(2 * PER_CLASS[split]).transpose(1, 2, 3, 0)
        labels = np.array([10 if label == 0 else label for label, _ in _rows(split)])
        scipy.io.savemat(root / f"{split}_32x32.mat", {"X": pixels, "y": labels[:, None]})


def _stl10(root: Path) -> None:
    folder = root / "stl10_binary"
    folder.mkdir()
    for split in ("train", "test"):
        pixels = np.repeat(np.repeat(_pixels(2 * PER_CLASS[split]), 3, 1), 3, 2).transpose(0, 3, 2, 1)
        (folder / f"{split}_X.bin").write_bytes(np.ascontiguousarray(pixels).tobytes())
        (folder / f"{split}_y.bin").write_bytes(bytes(label + 1 for label, _ in _rows(split)))
    _write(
        folder / "class_names.txt",
        ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"],
    )


# What torchvision lists ----------------------------------------------------------------------------------------------


def _clevr(root: Path) -> None:
    base = root / "clevr/CLEVR_v1.0"
    for split, part in (("train", "train"), ("test", "val")):
        scenes = []
        for label, index in _rows(split):
            name = f"CLEVR_{part}_{label}{index}.png"
            picture(base / "images" / part / name)
            scenes.append({"image_filename": name, "objects": [{}] * (3 + label)})
        _write(base / "scenes" / f"CLEVR_{part}_scenes.json", [json.dumps({"scenes": scenes})])


def _dtd(root: Path) -> None:
    for split in ("train", "val", "test"):
        names = [f"{_NAMES[label]}/{_NAMES[label]}_{split}{index}.jpg" for label, index in _rows(split)]
        for name in names:
            picture(root / "dtd/dtd/images" / name)
        _write(root / f"dtd/dtd/labels/{split}1.txt", names)


def _eurosat(root: Path) -> None:
    for label, index in _rows("train"):
        picture(root / "eurosat/2750" / ("AnnualCrop", "Forest")[label] / f"{index}.jpg")


def _aircraft(root: Path) -> None:
    base = root / "fgvc-aircraft-2013b/data"
    _write(base / "variants.txt", ["707-320", "An-12"])
    for split in ("train", "val", "test"):
        for label, index in _rows(split):
            picture(base / "images" / f"{split}{label}{index}.jpg")
        lines = [f"{split}{label}{index} {('707-320', 'An-12')[label]}" for label, index in _rows(split)]
        _write(base / f"images_variant_{split}.txt", lines)


def _flowers(root: Path) -> None:
    base, ids, labels = root / "flowers-102", {}, []
    for split, key in (("train", "trnid"), ("val", "valid"), ("test", "tstid")):
        ids[key] = np.arange(len(labels) + 1, len(labels) + 1 + len(_rows(split)))
        labels += [label + 1 for label, _ in _rows(split)]
    for number in range(1, len(labels) + 1):
        picture(base / "jpg" / f"image_{number:05d}.jpg")
    _mat(base / "setid.mat", **ids)
    _mat(base / "imagelabels.mat", labels=np.array(labels))


def _food(root: Path) -> None:
    for split in ("train", "test"):
        content: dict[str, list[str]] = {name: [] for name in _NAMES}
        for label, index in _rows(split):
            content[_NAMES[label]].append(f"{_NAMES[label]}/{split}{index}")
            picture(root / "food-101/images" / f"{_NAMES[label]}/{split}{index}.jpg")
        _write(root / f"food-101/meta/{split}.json", [json.dumps(content)])


def _gtsrb(root: Path) -> None:
    for label, index in _rows("train"):
        picture(root / f"gtsrb/GTSRB/Training/{label:05d}/{index}.ppm")
    lines = ["Filename;ClassId"]
    for label, index in _rows("test"):
        picture(root / f"gtsrb/GTSRB/Final_Test/Images/{label}{index}.ppm")
        lines.append(f"{label}{index}.ppm;{label}")
    _write(root / "gtsrb/GT-final_test.csv", lines)


def _pets(root: Path) -> None:
    base = root / "oxford-iiit-pet"
    for split, part in (("train", "trainval"), ("test", "test")):
        lines = []
        for label, index in _rows(split):
            name = f"{('Abyssinian', 'great_pyrenees')[label]}_{part}{index}"
            picture(base / "images" / f"{name}.jpg")
            lines.append(f"{name} {label + 1} 1 1")
        _write(base / "annotations" / f"{part}.txt", lines)


def _cars(root: Path) -> None:
    base, kind = root / "stanford_cars", [("fname", object), ("class", object)]
    for split, file in (("train", "devkit/cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        rows = [(f"{split}{label}{index}.jpg", label + 1) for label, index in _rows(split)]
        for name, _ in rows:
            picture(base / f"cars_{split}" / name)
        _mat(base / file, annotations=np.array(rows, dtype=kind))
    _mat(base / "devkit/cars_meta.mat", class_names=np.array(_NAMES, dtype=object))


def _sun(root: Path) -> None:
    _write(root / "SUN397/ClassName.txt", ["/a/abbey", "/b/bar"])
    for label, index in _rows("train"):
        picture(root / "SUN397" / ("a/abbey", "b/bar")[label] / f"sun_{index}.jpg")


_CIFAR10 = {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)}
_CIFAR100 = {"train": ("train",), "test": ("test",)}
_TORCHVISION: dict[str, Callable[[Path], None]] = {
    "CIFAR10": lambda root: _cifar(root, "cifar-10-batches-py", _CIFAR10, "labels", ("batches.meta", "label_names")),
    "CIFAR100": lambda root: _cifar(root, "cifar-100-python", _CIFAR100, "fine_labels", ("meta", "fine_label_names")),
    "CLEVRClassification": _clevr,
    "DTD": _dtd,
    "EuroSAT": _eurosat,
    "FGVCAircraft": _aircraft,
    "Flowers102": _flowers,
    "Food101": _food,
    "GTSRB": _gtsrb,
    "OxfordIIITPet": _pets,
    "STL10": _stl10,
    "SUN397": _sun,
    "SVHN": _svhn,
    "StanfordCars": _cars,
}


def _write(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def _mat(path: Path, **values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, values)
