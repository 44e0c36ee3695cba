"""Data sets in the splits of their makers; where there are none, all images are "train" and a seed draws the others."""

from __future__ import annotations

from ..readers.class_names import NamesFile, Trimmed
from ..readers.official.annotated import AnnotatedImages
from ..readers.official.arrays import CifarBinary, Idx
from ..readers.official.digits import Digits
from ..readers.official.layout import Files
from ..readers.official.torchvision_ import Torchvision, attributes, counts, in_memory, pairs
from ..readers.rows import ClassFolders, CubTables, MatList, TextList
from . import class_lists as lists
from .data_set import DataSet

__all__ = ["SETS"]

_THREE = {part: {"split": part} for part in ("train", "val", "test")}
_TWO = {part: {"split": part} for part in ("train", "test")}
_FLAG = {"train": {"train": True}, "test": {"train": False}}
_ONE: dict[str, dict[str, str]] = {"train": {}}
_FILES = attributes("_image_files", "_labels")
_BATCHES = tuple(f"cifar-10-batches-bin/data_batch_{number}.bin" for number in range(1, 6))
_DIGESTS = {
    "cifar10": {
        "train": "961ca871aaa93d046fc2006670b34a0d2521e6b8e90897ed25d4f09d8017a210",
        "test": "065099356265d58c40cc7a4342930c80c5603829dccf3dea1d3bf04ab0c237b4",
    },
    "fashion-mnist": {
        "train": "4781ffe95af68a4a3bf37975c7b68e3a6f47193372d61e206d54acaaa8b83b32",
        "test": "64e601d9c35d17e5b88cd4fcd7ad02a07a3bcda844826fcaf68433c6cf3e7a94",
    },
    "digits": {"train": "ccf2cbb88f38f73a38300c8adc6852d55489467f32a799a58590d5b8312f4f71"},
}
"""Of the sets that were seen whole: the binary version of CIFAR-10, the IDX files of Fashion-MNIST, the digits."""
_WORDNET = NamesFile(("classnames.txt", "LOC_synset_mapping.txt", "words.txt"))
_NONE_STATED = "none stated"
_IMAGENET_TERMS = "ImageNet's terms: non-commercial research and education"
_RESEARCH = "research, non-commercial"


def _cifar(name: str, kind: str, place: str, binary: CifarBinary) -> DataSet:
    return DataSet(
        name, f"60,000 photos of 32x32 pixels, {len(binary.classes)} classes",
        Torchvision(kind, (place,), _FLAG, in_memory("targets"), name), len(binary.classes),
        {"train": 50_000, "test": 10_000}, "https://www.cs.toronto.edu/~kriz/cifar.html", _NONE_STATED, "about 165 MB",
        other=binary, papers=("vp",), classes=binary.classes, digests=_DIGESTS.get(name, {}),
    )  # fmt: skip


def _mnist(name: str, kind: str, line: str, source: str, licence: str, size: str, classes: tuple[str, ...]) -> DataSet:
    return DataSet(
        name, line, Idx(name, classes), 10, {"train": 60_000, "test": 10_000}, source, licence, size,
        place=f"{kind}/raw", fetch=Torchvision(kind, (), _FLAG, in_memory("targets")), classes=classes,
        digests=_DIGESTS.get(name, {}), unchecked=() if licence == "MIT" else ("licence",),
    )  # fmt: skip


SETS = (
    DataSet(
        "digits", "1,797 handwritten digits of 8x8 pixels, 10 classes; inside scikit-learn", Digits(), 10,
        {"train": 1797}, "scikit-learn; UCI Machine Learning Repository", "CC BY 4.0", "installed",
        digests=_DIGESTS["digits"],
    ),
    _cifar("cifar10", "CIFAR10", "cifar-10-batches-py",
           CifarBinary("cifar10", {"train": _BATCHES, "test": ("cifar-10-batches-bin/test_batch.bin",)},
                       lists.CIFAR10)),
    _cifar("cifar100", "CIFAR100", "cifar-100-python",
           CifarBinary("cifar100", {"train": ("cifar-100-binary/train.bin",), "test": ("cifar-100-binary/test.bin",)},
                       lists.CIFAR100, label_bytes=2)),
    _mnist("mnist", "MNIST", "70,000 handwritten digits of 28x28 pixels, 10 classes", "http://yann.lecun.com/exdb/mnist",
           _NONE_STATED, "11 MB", lists.DIGITS),
    _mnist("fashion-mnist", "FashionMNIST", "70,000 grey images of clothes, 28x28 pixels, 10 classes",
           "https://github.com/zalandoresearch/fashion-mnist", "MIT", "30 MB", lists.FASHION),
    DataSet(
        "svhn", "99,289 photos of house numbers, 32x32 pixels, 10 classes",
        Torchvision("SVHN", ("train_32x32.mat", "test_32x32.mat"), _TWO, in_memory("labels", channels_first=True),
                    "svhn", lists.DIGITS, ("scipy",)),
        10, {"train": 73_257, "test": 26_032}, "http://ufldl.stanford.edu/housenumbers", "non-commercial use", "246 MB",
        papers=("vp",), classes=lists.DIGITS,
    ),
    DataSet(
        "stl10", "13,000 photos of 96x96 pixels, 10 classes",
        Torchvision("STL10", ("stl10_binary",), _TWO, in_memory("labels", channels_first=True), "stl10"), 10,
        {"train": 5_000, "test": 8_000}, "https://cs.stanford.edu/~acoates/stl10", _NONE_STATED, "2.6 GB",
        classes=lists.STL10,
    ),
    DataSet(
        "gtsrb", "39,270 photos of German traffic signs, 43 classes",
        Torchvision("GTSRB", ("gtsrb/GTSRB",), _TWO, pairs("_samples"), classes=lists.GTSRB), 43,
        {"train": 26_640, "test": 12_630}, "https://benchmark.ini.rub.de", _NONE_STATED, "about 280 MB",
        classes=lists.GTSRB, unchecked=("licence", "size"),
    ),
    DataSet(
        "clevr", "85,000 rendered scenes, the number of objects, 8 classes; its val split is the test split here",
        Torchvision("CLEVRClassification", ("clevr/CLEVR_v1.0",),
                    {"train": {"split": "train"}, "test": {"split": "val"}}, counts, classes=lists.OBJECT_COUNTS),
        8, {"train": 70_000, "test": 15_000}, "https://cs.stanford.edu/people/jcjohns/clevr", "CC BY 4.0", "18 GB",
        papers=("vp",), classes=lists.OBJECT_COUNTS,
    ),
    DataSet(
        "dtd", "5,640 textures, 47 classes; the first of the makers' ten splits",
        Torchvision("DTD", ("dtd/dtd",), _THREE, _FILES), 47, {"train": 1_880, "val": 1_880, "test": 1_880},
        "https://www.robots.ox.ac.uk/~vgg/data/dtd", "research", "600 MB", classes=lists.DTD,
    ),
    DataSet(
        "eurosat", "27,000 satellite images, 10 kinds of land use",
        Torchvision("EuroSAT", ("eurosat/2750",), _ONE, pairs("samples")), 10, {"train": 27_000},
        "https://github.com/phelber/EuroSAT", "MIT", "90 MB", classes=lists.EUROSAT,
    ),
    DataSet(
        "fgvc-aircraft", "10,000 photos of aircraft, 100 variants",
        Torchvision("FGVCAircraft", ("fgvc-aircraft-2013b",), _THREE, _FILES), 100,
        {"train": 3_334, "val": 3_333, "test": 3_333}, "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft",
        "non-commercial research", "2.7 GB",
    ),
    DataSet(
        "flowers102", "8,189 photos of flowers, 102 classes",
        Torchvision("Flowers102", ("flowers-102/jpg", "flowers-102/setid.mat", "flowers-102/imagelabels.mat"), _THREE,
                    _FILES, modules=("scipy",)),
        102, {"train": 1_020, "val": 1_020, "test": 6_149}, "https://www.robots.ox.ac.uk/~vgg/data/flowers/102",
        _NONE_STATED, "330 MB",
    ),
    DataSet(
        "food101", "101,000 photos of dishes, 101 classes", Torchvision("Food101", ("food-101",), _TWO, _FILES), 101,
        {"train": 75_750, "test": 25_250}, "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101",
        "research; the photos are their owners'", "4.7 GB", unchecked=("licence",),
    ),
    DataSet(
        "oxford-pets", "7,349 photos of cats and dogs, 37 breeds",
        Torchvision("OxfordIIITPet", ("oxford-iiit-pet/images", "oxford-iiit-pet/annotations"),
                    {"train": {"split": "trainval"}, "test": {"split": "test"}}, attributes("_images", "_labels")),
        37, {"train": 3_680, "test": 3_669}, "https://www.robots.ox.ac.uk/~vgg/data/pets", "CC BY-SA 4.0", "800 MB",
    ),
    DataSet(
        "stanford-cars", "16,185 photos of cars, 196 models",
        Torchvision("StanfordCars", ("stanford_cars/devkit", "stanford_cars/cars_train", "stanford_cars/cars_test",
                                     "stanford_cars/cars_test_annos_withlabels.mat"),
                    _TWO, pairs("_samples"), modules=("scipy",)),
        196, {"train": 8_144, "test": 8_041}, "https://ai.stanford.edu/~jkrause/cars/car_dataset.html", _RESEARCH,
        "1.9 GB",
        has_link=False, note="Its makers' link is dead: bring a copy.",
        unchecked=("licence", "size"),
    ),
    DataSet(
        "sun397", "108,754 photos of places, 397 classes", Torchvision("SUN397", ("SUN397",), _ONE, _FILES), 397,
        {"train": 108_754}, "https://vision.princeton.edu/projects/2010/SUN", "research", "37 GB",
        unchecked=("licence",),
    ),
    DataSet(
        "caltech101", "8,677 photos of objects, 101 classes; without the background pictures",
        Files({"train": ClassFolders("101_ObjectCategories")}, drop=("BACKGROUND_Google",)), 101, {"train": 8_677},
        "https://data.caltech.edu/records/mzrjq-6wc02", "CC BY 4.0", "137 MB", place="caltech101",
        unchecked=("licence",),
    ),
    DataSet(
        "resisc45", "31,500 aerial photos, 45 kinds of scenes",
        Files({"train": ClassFolders("NWPU-RESISC45")}), 45, {"train": 31_500},
        "https://doi.org/10.1109/JPROC.2017.2675998", _NONE_STATED, "about 400 MB", place="resisc45", papers=("vp",),
        classes=lists.RESISC45, unchecked=("licence", "size"),
        note="The VP paper's split, 18,900 and 6,300, is not published as a list: a seed draws one.",
    ),
    DataSet(
        "ucf101", "the middle frames of 13,320 videos, 101 actions",
        Files({"train": ClassFolders("UCF-101-midframes")}), 101, {"train": 13_320},
        "https://www.crcv.ucf.edu/data/UCF101.php", _NONE_STATED, "6.5 GB of videos", place="ucf101",
        note="The frames are those of the CoOp paper's UCF-101-midframes.zip.", unchecked=("licence", "size"),
    ),
    DataSet(
        "cub200", "11,788 photos of birds, 200 species",
        Files({"train": CubTables(True), "test": CubTables(False)}, NamesFile(("classes.txt",), r"\d+\.")), 200,
        {"train": 5_994, "test": 5_794}, "https://www.vision.caltech.edu/datasets/cub_200_2011",
        _RESEARCH, "1.1 GB", place="CUB_200_2011", unchecked=("licence",),
    ),
    DataSet(
        "nabirds", "48,562 photos of birds, 555 kinds",
        Files({"train": CubTables(True), "test": CubTables(False)}, NamesFile(("classes.txt",))), 555,
        {"train": 23_929, "test": 24_633}, "https://dl.allaboutbirds.org/nabirds", _RESEARCH, "9.3 GB",
        place="nabirds", unchecked=("licence", "size"),
    ),
    DataSet(
        "stanford-dogs", "20,580 photos of dogs, 120 breeds",
        Files({"train": MatList("train_list.mat", images="Images"), "test": MatList("test_list.mat", images="Images")},
              Trimmed(r"n\d+-")),
        120, {"train": 12_000, "test": 8_580}, "http://vision.stanford.edu/aditya86/ImageNetDogs",
        _IMAGENET_TERMS, "780 MB", place="stanford_dogs", unchecked=("licence",),
    ),
    DataSet(
        "imagenet", "ImageNet-1k: 1,331,167 photos, 1,000 classes; its validation photos are the test split here",
        Files({"train": ClassFolders("train"), "test": ClassFolders("val")}, _WORDNET), 1000,
        {"train": 1_281_167, "test": 50_000}, "https://image-net.org", _IMAGENET_TERMS, "about 150 GB",
        place="imagenet", papers=("reference",),
        note="The validation photos lie in class folders; classnames.txt or LOC_synset_mapping.txt names the classes.",
    ),
    DataSet(
        "tiny-imagenet", "110,000 photos of 64x64 pixels, 200 classes; its validation photos are the test split here",
        Files({"train": ClassFolders("train", inner="images"),
               "test": TextList("val/val_annotations.txt", images="val/images")}, _WORDNET),
        200, {"train": 100_000, "test": 10_000}, "http://cs231n.stanford.edu/tiny-imagenet-200.zip", _IMAGENET_TERMS,
        "237 MB", place="tiny-imagenet-200",
    ),
    DataSet(
        "ade20k", "22,210 photos with 150 classes of pixels; for pixprompt segment --data ade20k:PATH",
        AnnotatedImages({"train": "training", "test": "validation"}, "objectInfo150.txt", 150), 150,
        {"train": 20_210, "test": 2_000}, "http://sceneparsing.csail.mit.edu", "BSD 3-Clause; the photos: research",
        "920 MB", place="ADEChallengeData2016", task="segmentation", unchecked=("licence",),
    ),
)  # fmt: skip
