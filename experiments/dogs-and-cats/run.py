"""The VP paper's toy study (section 6.3): does it matter which source class stands for which target class?

Dogs and cats of CIFAR-10, ResNet-18; once "dog" is read off the Chihuahua output and "cat" off the tabby cat output,
once the other way round. The paper reports 100% against 62.5% (its own images and ResNet-50).

    python experiments/dogs-and-cats/run.py ../shared
"""

import csv
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from sweep import main

CLASSES = ("cat", "dog")
WAYS = {
    "meaning kept": {"dog": "Chihuahua", "cat": "tabby"},
    "swapped": {"dog": "tabby", "cat": "Chihuahua"},
}


def write_table(images: Path, path: Path) -> None:
    """Lists the images of two classes of a folder data set."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "split"))
        for split in ("train", "test"):
            for name in CLASSES:
                writer.writerows((image, name, split) for image in sorted((images / split / name).iterdir()))


if __name__ == "__main__":
    assets = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared").resolve()
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch) / "dogs-and-cats.csv"
        write_table(assets / "data" / "cifar10", table)
        rows = []
        for name, mapping in WAYS.items():
            file = Path(scratch) / f"{name.replace(' ', '-')}.json"
            file.write_text(json.dumps(mapping))
            common = {"model": "resnet18", "weights": "{assets}/weights/resnet18.safetensors", "epochs": 5}
            rows.append((name, {**common, "data": f"csv:{table}", "output": "given", "mapping": str(file)}))
        main(Path(__file__).parent, rows)
