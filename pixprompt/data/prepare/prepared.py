"""A prepared set: manifests of its splits, and where its images are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...core import DataError
from ...files import read_json
from ..catalogue import DataSet, data_folder
from ..image_set import Collection, ImageSet, from_files, join
from ..splits import listed
from ..splits.manifest import Manifest

__all__ = ["DESCRIPTION", "SPLITS_FOLDER", "by_manifest", "image_name", "prepared_folder", "read_prepared", "root_of"]

DESCRIPTION = "set.json"
SPLITS_FOLDER = "splits"


def prepared_folder(name: str) -> Path:
    """Returns where a set is once it is prepared."""
    return data_folder() / "prepared" / name


def read_prepared(data: DataSet) -> Collection | None:
    """Reads a set that was prepared, without looking at its images; None where it was not.

    Raises:
        DataError: What was prepared is damaged, or the images have gone.
    """
    folder = prepared_folder(data.name)
    if not (folder / DESCRIPTION).is_file():
        return None
    description = _description(folder)
    root = root_of(folder, description)
    if not root.exists() and not data.built_in:
        raise DataError(
            f"{data.name}: prepared from {root}, which is not there any more; mount it, or prepare the set again: "
            f"pixprompt datasets prepare {data.name} --from PATH."
        )
    manifests = [Manifest.read(folder / SPLITS_FOLDER / f"{part}.tsv") for part in description["splits"]]
    if description["files"]:
        parts = {each.part: _files(root, each) for each in manifests}
    else:
        collection = data.read(root)
        parts = {each.part: by_manifest(root, collection, each) for each in manifests}
    return Collection(manifests[0].classes, parts, source=f"{folder}, images in {root}")


def root_of(folder: Path, description: dict[str, Any]) -> Path:
    """Returns where the images of a prepared set are."""
    return folder / str(description["root"])


def image_name(root: Path, name: str) -> str:
    """Returns the name of an image in a manifest: its path below the root, or its number inside a file of arrays."""
    return Path(name).relative_to(root).as_posix() if name.startswith(f"{root}/") else name


def by_manifest(root: Path, collection: Collection, manifest: Manifest) -> ImageSet:
    """Takes the images that a manifest names out of those of all splits.

    Raises:
        DataError: Some are not there.
    """
    images = join(list(collection.parts.values()))
    places = {image_name(root, name): index for index, name in enumerate(images.names)}
    missing = [name for name, _, _ in manifest.rows if name not in places]
    if missing:
        raise DataError(
            f"{manifest.data}: the manifest of {manifest.part} names {len(missing)} images that are not in {root}: "
            f"{listed(missing)}."
        )
    return images.subset([places[name] for name, _, _ in manifest.rows])


def _files(root: Path, manifest: Manifest) -> ImageSet:
    prefix = f"{root}/"
    return from_files(
        [prefix + name for name, _, _ in manifest.rows],
        [label for _, label, _ in manifest.rows],
        [f"sha256:{digest}" for _, _, digest in manifest.rows],
    )


def _description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    try:
        content = read_json(path)
        if not {"root", "splits", "files"} <= content.keys():
            raise ValueError("a field is missing")
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); remove {folder} and prepare the set again.") from error
    return dict(content)
