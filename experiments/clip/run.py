"""A small CLIP with text prompts on three data sets: zero-shot, and prompted under both blends and both fits.

python experiments/clip/run.py ../shared
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from sweep import main, write_csv

DATA = {
    "digits": {"data": "digits", "shots": 50},
    "flowers5": {"data": "csv:{scratch}/flowers5.csv"},
    "cifar10": {"data": "csv:{scratch}/cifar10.csv"},
}
COMMON = {"model": "open_clip:local-dir:{assets}/weights/mini-clip-vit-ti16", "epochs": 4}
FORMS = [(blend, fit) for blend in ("add", "over") for fit in ("resize", "shrink")]


def prepare(assets: Path, scratch: Path) -> None:
    """About 600 images of each set to learn from, a fifth of them for validation, and 500 or 1,000 to test on."""
    write_csv(assets / "data" / "cifar10", scratch / "cifar10.csv", train=60, test=100)
    write_csv(assets / "data" / "flowers5", scratch / "flowers5.csv", train=120, test=100)


if __name__ == "__main__":
    rows = [
        (f"{name}, {blend}, {fit}", {**COMMON, **data, "blend": blend, "fit": fit})
        for name, data in DATA.items()
        for blend, fit in FORMS
    ]
    main(Path(__file__).parent, rows, prepare)
