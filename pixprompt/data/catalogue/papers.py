"""Data sets in the splits of papers: CoOp's, VPT's for FGVC, DAM-VP's for HTA, WILDS'.

References: arXiv:2109.01134 (CoOp, whose splits the VP paper, arXiv:2203.17274, takes for seven of its twelve sets),
arXiv:2203.12119 (VPT), DAM-VP and arXiv:2312.10376 (HTA), arXiv:2012.07421 (WILDS).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..readers.class_names import CarNames, NamesFile, Table as NamesTable
from ..readers.holding_out import FirstShare
from ..readers.official.layout import ClassNames, Files, Numbered
from ..readers.rows import CoOpSplit, PathLabels, Table
from . import class_lists as lists
from .data_set import DataSet
from .official import SETS as OFFICIAL

__all__ = ["SETS"]

_BY_NAME = {data.name: data for data in OFFICIAL}
_SPLITS = ("train", "val", "test")


def _sizes(*sizes: int) -> Mapping[str, int]:
    return dict(zip(_SPLITS, sizes, strict=True))


def _coop(
    name: str, file: str, images: str, place: str, num_classes: int, sizes: Mapping[str, int], *, vp: bool = True
) -> DataSet:
    """Returns a set of OFFICIAL in CoOp's split."""
    base, file = _BY_NAME[name], f"split_zhou_{file}.json"
    rows = {part: CoOpSplit(file, part, images) for part in _SPLITS}
    return replace(
        base, name=f"coop-{name}", line=f"{name} in CoOp's split: {num_classes} classes",
        layout=Files(rows, rows["train"].names), num_classes=num_classes, sizes=sizes, place=place, fetch=None,
        papers=("vp", "coop") if vp else ("coop",), classes=(),
        note=f"Put {file} of the CoOp authors into the folder, beside {images}.",
    )  # fmt: skip


_COOP = (
    _coop(
        "caltech101", "Caltech101", "101_ObjectCategories", "caltech-101", 100, _sizes(4_128, 1_649, 2_465), vp=False
    ),
    _coop("oxford-pets", "OxfordPets", "images", "oxford_pets", 37, _sizes(2_944, 736, 3_669)),
    _coop("stanford-cars", "StanfordCars", "", "stanford_cars", 196, _sizes(6_509, 1_635, 8_041), vp=False),
    _coop("flowers102", "OxfordFlowers", "jpg", "oxford_flowers", 102, _sizes(4_093, 1_633, 2_463)),
    _coop("food101", "Food101", "images", "food-101", 101, _sizes(50_500, 20_200, 30_300)),
    _coop("sun397", "SUN397", "SUN397", "sun397", 397, _sizes(15_880, 3_970, 19_850)),
    _coop("dtd", "DescribableTextures", "images", "dtd", 47, _sizes(2_820, 1_128, 1_692)),
    _coop("eurosat", "EuroSAT", "2750", "eurosat", 10, _sizes(13_500, 5_400, 8_100)),
    _coop("ucf101", "UCF101", "UCF-101-midframes", "ucf101", 101, _sizes(7_639, 1_898, 3_783)),
)


def _fgvc(name: str, images: str, place: str, sizes: Mapping[str, int], names: ClassNames | None) -> DataSet:
    """Returns a set of OFFICIAL in the VPT paper's split: a tenth of the training images validates."""
    base = _BY_NAME[name]
    rows = {part: PathLabels(f"{part}.json", images) for part in _SPLITS}
    imports = ("scipy",) if isinstance(names, CarNames) else ()
    return replace(
        base, name=f"fgvc-{name}", line=f"{name} in the VPT paper's split, 90/10 of train and val",
        layout=Files(rows, names, imports=imports), sizes=sizes, place=place, fetch=None, papers=("fgvc",), classes=(),
        note="Put train.json, val.json and test.json of the VPT authors into the folder.",
        unchecked=tuple(dict.fromkeys((*base.unchecked, "class names"))) if names is None else base.unchecked,
    )  # fmt: skip


_FGVC = (
    _fgvc("cub200", "images", "fgvc/CUB_200_2011", _sizes(5_394, 600, 5_794),
          NamesFile(("classes.txt",), r"\d+\.")),
    _fgvc("nabirds", "images", "fgvc/nabirds", _sizes(21_536, 2_393, 24_633), NamesFile(("classes.txt",))),
    _fgvc("flowers102", "", "fgvc/OxfordFlower", _sizes(1_020, 1_020, 6_149), None),
    _fgvc("stanford-dogs", "Images", "fgvc/Stanford-dogs", _sizes(10_800, 1_200, 8_580), None),
    _fgvc("stanford-cars", "", "fgvc/Stanford-cars", _sizes(7_329, 815, 8_041), CarNames()),
)  # fmt: skip
_FGVC_BY_NAME = {data.name: data for data in _FGVC}


def _hta(name: str, base: DataSet, note: str = "", share: float | None = None) -> DataSet:
    """Returns a set in DAM-VP's split."""
    sizes = dict(base.sizes)
    if share is not None:
        train = int(share * sizes["train"])
        sizes |= {"train": train, "val": sizes["train"] - train}
    return replace(
        base, name=f"hta-{name}", line=f"{name} in DAM-VP's split for HTA", papers=("hta",), sizes=sizes,
        layout=base.layout if share is None else FirstShare(base.layout, share), fetch=base.download,
        note=note or base.note,
    )  # fmt: skip


_DRAWN = "DAM-VP draws a fifth of the training images for validation without a published seed: ours is drawn by --seed."
_HTA = (
    _hta("cifar10", _BY_NAME["cifar10"], share=0.8),
    _hta("cifar100", _BY_NAME["cifar100"], share=0.8),
    _hta("dtd", _BY_NAME["dtd"]),
    _hta("cub200", _FGVC_BY_NAME["fgvc-cub200"]),
    _hta("nabirds", _FGVC_BY_NAME["fgvc-nabirds"]),
    _hta("stanford-dogs", _FGVC_BY_NAME["fgvc-stanford-dogs"]),
    _hta("flowers102", _FGVC_BY_NAME["fgvc-flowers102"]),
    _hta("food101", _BY_NAME["food101"], _DRAWN),
    _hta("gtsrb", _BY_NAME["gtsrb"], _DRAWN),
    _hta("svhn", _BY_NAME["svhn"], share=0.8),
)

_PATCH = "patches/patient_{patient}_node_{node}/patch_patient_{patient}_node_{node}_x_{x_coord}_y_{y_coord}.png"
_OTHERS = ("0", "3", "4")


def _camelyon(**where: tuple[str, ...]) -> Table:
    return Table("metadata.csv", _PATCH, "tumor", where)


def _fmow(split: str, first: str, end: str) -> Table:
    return Table(
        "rgb_metadata.csv", "images/rgb_img_{row}.png", "category", {"split": (split,)}, ("timestamp", first, end)
    )


_WILDS = (
    DataSet(
        "camelyon17", "WILDS: 455,954 patches of tissue, tumor or normal; train, val and test are of other hospitals",
        Files({"train": _camelyon(split=("0",), center=_OTHERS), "id_val": _camelyon(split=("1",), center=_OTHERS),
               "val": _camelyon(center=("1",)), "test": _camelyon(center=("2",))},
              Numbered(("normal", "tumor"), start=0)),
        2, {"train": 302_436, "id_val": 33_560, "val": 34_904, "test": 85_054}, "https://wilds.stanford.edu",
        "CC0", "10 GB", place="camelyon17_v1.0", papers=("wilds",), classes=("normal", "tumor"),
    ),
    DataSet(
        "fmow", "WILDS: 141,696 satellite images, 62 kinds of buildings and land; val and test are later years",
        Files({"train": _fmow("train", "0", "2013"), "id_val": _fmow("val", "0", "2013"),
               "id_test": _fmow("test", "0", "2013"), "val": _fmow("val", "2013", "2016"),
               "test": _fmow("test", "2016", "3")}),
        62, {"train": 76_863, "id_val": 11_483, "id_test": 11_327, "val": 19_915, "test": 22_108},
        "https://wilds.stanford.edu", "FMoW Challenge Public License", "54 GB", place="fmow_v1.1", papers=("wilds",),
        classes=lists.FMOW,
    ),
    DataSet(
        "iwildcam", "WILDS: 203,029 photos of camera traps, 182 species; val and test are other cameras",
        Files({part: Table("metadata.csv", "train/{filename}", "y", {"split": (part,)})
               for part in ("train", "id_val", "id_test", "val", "test")}, NamesTable("categories.csv", "y", "name")),
        182, {"train": 129_809, "id_val": 7_314, "id_test": 8_154, "val": 14_961, "test": 42_791},
        "https://wilds.stanford.edu", "CDLA-Permissive 1.0", "12 GB", place="iwildcam_v2.0", papers=("wilds",),
        unchecked=("class names",),
    ),
)  # fmt: skip

SETS = (*_COOP, *_FGVC, *_HTA, *_WILDS)
