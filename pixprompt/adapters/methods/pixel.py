"""The pixel prompt.

The default recipe was chosen by measurement (experiments/recipe, experiments/query-economy). Preset "vp" is the VP
paper's, arXiv 2203.17274, section 3 and its public code: SGD at learning rate 40 in units of the model's
normalisation, momentum 0.9, 1000 steps of linear warm-up, cosine, 1000 epochs, N(0, 1) start.
"""

from __future__ import annotations

from typing import Any

from ..method import Learning, Method, register

__all__ = ["ATTRVR", "DEFAULTS"]

DEFAULTS: dict[str, Any] = {
    "blend": "add",
    "fit": "resize",
    "start": "flat",
    "optimizer": "adam",
    "lr": 0.05,
    "warmup": 20,
    "epochs": 4,
    "batch_size": 8,  # an image costs a processor the same in a small batch, and small ones are more steps
}
_WITH_HEAD: dict[str, Any] = {
    **DEFAULTS,
    "output": "auto",
    "template": "full",
    "lr": 0.01,
    "warmup": 0,
    "batch_size": 50,
}
"""Beside a linear head, which reads most of what there is, small steps all over the image (experiments/together)."""
_SEARCH: dict[str, Any] = {"optimizer": "spsa", "population": 2, "sigma": 0.02, "lr": 0.02}
"""One pair of trials on many images is worth more than many trials on few: a transform that is fitted along needs
answers to many different images, and small trials stay where it can read them."""
_VP: dict[str, Any] = {
    "blend": "add",
    "fit": "resize",
    "start": "normal",
    "optimizer": "sgd",
    "lr": 40.0,
    "weight_decay": 0.0,
    "warmup": 1000,
    "epochs": 1000,
}
_EVP: dict[str, Any] = {
    "template": "padding",
    "size": 30,
    "blend": "add",
    "fit": "shrink",
    "start": "flat",
    "optimizer": "normalized-sgd",
    "lr": 70.0,
    "momentum": 0.0,
    "weight_decay": 0.0,
    "warmup": 0,
    "epochs": 1000,
    "batch_size": 256,
    "augment": "crop",
}
"""EVP, arXiv 2212.10556: the image shrunk to 164 of 224 pixels, random changes of it, and gradients of unit
length; the numbers are those of its public code."""
ATTRVR: dict[str, Any] = {
    "template": "padding",
    "size": 16,
    "blend": "over",
    "fit": "shrink",
    "start": "flat",
    "output": "attributes",
    "optimizer": "sgd",
    "lr": 2.5,
    "weight_decay": 0.0,
    "warmup": 0,
    "epochs": 200,
    "batch_size": 64,
}
"""AttrVR, arXiv 2501.13982: an opaque frame of 16 pixels. It is a sigmoid of what is learned at rate 40, whose slope at
the start is 1/4, so that the colours themselves move at 40 / 16."""

register(
    Method(
        name="pixel",
        line="one pixel prompt for every image, saved as a PNG",
        learning=Learning.GRADIENTS,
        make="pixprompt.adapters.pixel:PixelPrompt",
        file="prompt.png",
        defaults=DEFAULTS,
        head_defaults=_WITH_HEAD,
        answer_defaults=_SEARCH,
        presets={"vp": _VP, "evp": _EVP, "attrvr": ATTRVR},
    )
)
