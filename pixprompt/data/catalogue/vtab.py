"""VTAB-1k: 19 tasks in three groups, 800 images to train, 200 to validate, and the test images of each data set.

`--search` chooses on the 200 and trains on all 1,000, as the VPT paper does.

References: arXiv:1910.04867; arXiv:2203.12119, whose lists of 800 and 200 are the ones that others publish with images.
"""

from __future__ import annotations

from ..readers.official.layout import Files, Numbered
from ..readers.rows import TextList
from . import class_lists as lists
from .data_set import DataSet

__all__ = ["GROUPS", "SETS"]

_TASKS: dict[str, dict[str, tuple[int, int, tuple[str, ...]]]] = {
    "natural": {
        "cifar": (100, 10_000, lists.CIFAR100),
        "caltech101": (102, 6_084, ()),
        "dtd": (47, 1_880, lists.DTD),
        "oxford_flowers102": (102, 6_149, ()),
        "oxford_iiit_pet": (37, 3_669, ()),
        "svhn": (10, 26_032, lists.DIGITS),
        "sun397": (397, 21_750, ()),
    },
    "specialized": {
        "patch_camelyon": (2, 32_768, ("normal", "tumor")),
        "eurosat": (10, 5_400, lists.EUROSAT),
        "resisc45": (45, 6_300, lists.RESISC45),
        "diabetic_retinopathy": (5, 42_670, lists.numbered(5, "grade")),
    },
    "structured": {
        "clevr_count": (8, 15_000, lists.OBJECT_COUNTS),
        "clevr_dist": (6, 15_000, lists.numbered(6, "distance")),
        "dmlab": (6, 22_735, lists.numbered(6, "class")),
        "kitti": (4, 711, lists.numbered(4, "distance")),
        "dsprites_loc": (16, 73_728, lists.numbered(16, "position")),
        "dsprites_ori": (16, 73_728, lists.numbered(16, "orientation")),
        "smallnorb_azi": (18, 12_150, lists.numbered(18, "azimuth")),
        "smallnorb_ele": (9, 12_150, lists.numbered(9, "elevation")),
    },
}
"""Group -> task -> classes, test images, class names in the order of the lists' labels where they are known."""
GROUPS = {group: tuple(f"vtab-{task}" for task in tasks) for group, tasks in _TASKS.items()}
"""Group -> names of its tasks."""


def _task(group: str, name: str, num_classes: int, test: int, names: tuple[str, ...]) -> DataSet:
    return DataSet(
        f"vtab-{name}", f"VTAB-1k, {group}: {name}, {num_classes} classes",
        Files({"train": TextList("train800.txt"), "val": TextList("val200.txt"), "test": TextList("test.txt")},
              Numbered(names or lists.numbered(num_classes, "class"), start=0)),
        num_classes, {"train": 800, "val": 200, "test": test}, "https://google-research.github.io/task_adaptation",
        "that of each data set", "about 3.7 GB for all tasks", place=f"vtab-1k/{name}", papers=("vtab",),
        note="The folder holds images/ and the lists train800.txt, val200.txt and test.txt.",
        unchecked=("size",) if names else ("size", "class names"),
    )  # fmt: skip


SETS = tuple(
    _task(group, name, num_classes, test, names)
    for group, tasks in _TASKS.items()
    for name, (num_classes, test, names) in tasks.items()
)
