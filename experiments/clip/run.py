"""A small CLIP with text prompts on three data sets: zero-shot, and prompted under both blends and both fits.

python experiments/clip/run.py ../shared
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from sweep import main

DATA = {
    "digits": {"data": "digits", "shots": 80},
    "flowers5": {"data": "folder:{assets}/data/flowers5", "shots": 160},
    "cifar10": {"data": "folder:{assets}/data/cifar10", "shots": 80},
}
COMMON = {"model": "open_clip:local-dir:{assets}/weights/mini-clip-vit-ti16", "epochs": 5}
FORMS = [(blend, fit) for blend in ("add", "over") for fit in ("resize", "shrink")]

if __name__ == "__main__":
    main(
        Path(__file__).parent,
        [
            (f"{name}, {blend}, {fit}", {**COMMON, **data, "blend": blend, "fit": fit})
            for name, data in DATA.items()
            for blend, fit in FORMS
        ],
    )
