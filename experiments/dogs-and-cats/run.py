"""The VP paper's toy study (section 6.3): does it matter which source class stands for which target class?

Dogs and cats of CIFAR-10, ResNet-18; once "dog" is read off the Chihuahua output and "cat" off the tabby cat output,
once the other way round. The paper reports 100% against 62.5% (OxfordPets and ResNet-50).

    python experiments/dogs-and-cats/run.py ../shared
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from sweep import main, write_csv

WAYS = {
    "meaning kept": {"dog": "Chihuahua", "cat": "tabby"},
    "swapped": {"dog": "tabby", "cat": "Chihuahua"},
}
COMMON = {
    "model": "resnet18",
    "weights": "{assets}/weights/resnet18.safetensors",
    "data": "csv:{scratch}/dogs-and-cats.csv",
    "output": "given",
    "epochs": 8,
}


def prepare(assets: Path, scratch: Path) -> None:
    """300 images of each to learn from, 200 to test on, and a mapping file for each way."""
    images = assets / "data" / "cifar10"
    write_csv(images, scratch / "dogs-and-cats.csv", train=300, test=200, classes=("cat", "dog"))
    for number, mapping in enumerate(WAYS.values()):
        (scratch / f"{number}.json").write_text(json.dumps(mapping))


if __name__ == "__main__":
    rows = [(name, {**COMMON, "mapping": f"{{scratch}}/{number}.json"}) for number, name in enumerate(WAYS)]
    main(Path(__file__).parent, rows, prepare)
