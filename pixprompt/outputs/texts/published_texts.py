"""Text templates that papers use for each data set.

References: CLIP, arXiv:2103.00020, whose authors list them beside the code; CoOp, arXiv:2109.01134; visual prompting,
arXiv:2203.17274, section 4.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["CLIP", "COOP", "PAPER", "family"]


def _each(pattern: str, *words: str) -> tuple[str, ...]:
    return tuple(pattern.replace("_", word) for word in words)


def _articles(*patterns: str) -> tuple[str, ...]:
    """Returns each pattern with "a" for "_", then each with "the"."""
    return (
        *(pattern.replace("_", "a") for pattern in patterns),
        *(pattern.replace("_", "the") for pattern in patterns),
    )


_PHOTO, _PHOTOS = "a photo of a {}.", ("a photo of a {}.", "a photo of the {}.")
_SMALL = _articles(
    "a photo of _ {}.", "a blurry photo of _ {}.", "a black and white photo of _ {}.", "a low contrast photo of _ {}.",
    "a high contrast photo of _ {}.", "a bad photo of _ {}.", "a good photo of _ {}.", "a photo of _ small {}.",
    "a photo of _ big {}.",
)  # fmt: skip
_RENDITIONS = _articles(
    "a photo of _ {}.", "a painting of _ {}.", "_ plastic {}.", "a sculpture of _ {}.", "a sketch of _ {}.",
    "a tattoo of _ {}.", "_ toy {}.", "a rendition of _ {}.", "_ embroidered {}.", "_ cartoon {}.",
    "_ {} in a video game.", "_ plushie {}.", "_ origami {}.", "art of _ {}.", "graffiti of _ {}.",
    "a drawing of _ {}.", "a doodle of _ {}.",
)  # fmt: skip
_AERIAL = tuple(
    f"{view} {what} of {article}{{}}."
    for article in ("", "a ", "the ")
    for what in ("imagery", "photo", "view")
    for view in ("satellite", "aerial")
)
_ACTIONS = tuple(
    f"a {medium} of {article} person {verb}{{}}."
    for verb in ("", "using ", "doing ", "during ", "performing ", "practicing ")
    for article in ("a", "the")
    for medium in ("photo", "video", "example", "demonstration")
)

CLIP: Mapping[str, tuple[str, ...]] = {
    "caltech101": _RENDITIONS,
    "cifar": _SMALL,
    "clevr": ("a photo of {} objects.",),
    "dtd": _articles(*(f"a photo of _ {{}} {what}." for what in ("texture", "pattern", "thing", "object"))),
    "eurosat": _each("a centered satellite photo of _{}.", "", "a ", "the "),
    "fgvc-aircraft": tuple(f"{photo[:-1]}, a type of aircraft." for photo in _PHOTOS),
    "flowers102": ("a photo of a {}, a type of flower.",),
    "food101": ("a photo of {}, a type of food.",),
    "gtsrb": _each('a _ photo of a "{}" traffic sign.', "zoomed in", "centered", "close up"),
    "imagenet": (
        "itap of a {}.", "a bad photo of the {}.", "a origami {}.", "a photo of the large {}.", "a {} in a video game.",
        "art of the {}.", "a photo of the small {}.",
    ),
    "mnist": ('a photo of the number: "{}".',),
    "oxford-pets": ("a photo of a {}, a type of pet.",),
    "resisc45": _AERIAL,
    "stanford-cars": (
        *_PHOTOS, "a photo of my {}.", "i love my {}!", *_each("a photo of my _ {}.", "dirty", "clean", "new", "old"),
    ),
    "stl10": _PHOTOS,
    "sun397": _PHOTOS,
    "ucf101": _ACTIONS,
}  # fmt: skip
"""Family -> CLIP's templates, an ensemble; of ImageNet's eighty the seven that its authors found to do as well."""

COOP: Mapping[str, tuple[str, ...]] = {
    "caltech101": (_PHOTO,),
    "dtd": ("{} texture.",),
    "eurosat": ("a centered satellite photo of {}.",),
    "fgvc-aircraft": ("a photo of a {}, a type of aircraft.",),
    "flowers102": ("a photo of a {}, a type of flower.",),
    "food101": ("a photo of {}, a type of food.",),
    "imagenet": (_PHOTO,),
    "oxford-pets": ("a photo of a {}, a type of pet.",),
    "stanford-cars": (_PHOTO,),
    "sun397": (_PHOTO,),
    "ucf101": ("a photo of a person doing {}.",),
}
"""Family -> CoOp's hand-written template."""

PAPER: Mapping[str, tuple[str, ...]] = {
    "camelyon": ("a tissue region {} tumor",),
    "clevr": ("This is a photo of {} objects",),
}
"""Family -> the visual prompting paper's template, where it is not the one that it uses for all others."""

_OTHER_NAMES = {"oxford_flowers102": "flowers102", "oxford_iiit_pet": "oxford-pets", "tiny-imagenet": "imagenet"}


def family(data_name: str, families: Mapping[str, tuple[str, ...]]) -> str:
    """Returns the family of a data set, "eurosat" of "coop-eurosat" and of "folder:/images/eurosat"; "" for none."""
    last = re.sub(r"^(?:coop|fgvc|hta|vtab)-(?=.)", "", re.split(r"[:/\\]", data_name.lower().rstrip("/\\"))[-1])
    last = _OTHER_NAMES.get(last, "fgvc-aircraft" if last == "aircraft" else last)
    return next((each for each in families if last.startswith(each)), "")
